/** Options of every driver that sends, and the journal and sender that they describe. */
import { join } from 'node:path';
import { choice, duration, flag, text } from '../../sdk/option-kinds.ts';
import type { OptionValues } from '../../sdk/options.ts';
import { decimalSize } from '../decimal-size.ts';
import type { LogPlace, OpenedLog } from '../driver-spec.ts';
import { engineOptions } from '../engine-options.ts';
import type { RotationLimits } from '../files/active-file.ts';
import { type LogFiles, logFilesAt } from '../files/log-files.ts';
import { JournalWriter } from '../journal/writer.ts';
import { multilineOptions, multilineRule } from '../multiline.ts';
import {
  defaultMaxFiles,
  defaultMaxSizeBytes,
  type RotationValues,
  rotationLimits,
  rotationOptions,
} from '../rotation-options.ts';
import type { AssembleOptions } from './assemble.ts';
import type { Connector } from './connection.ts';
import type { MessageFormat } from './message.ts';
import { Sender, type SpoolPolicy } from './sender.ts';

export const remoteOptions = {
  ...engineOptions,
  ...rotationOptions,
  tag: text('tag', { empty: true }),
  labels: text('labels', { empty: true }),
  labelsRegex: text('labels-regex', { empty: true }),
  env: text('env', { empty: true }),
  envRegex: text('env-regex', { empty: true }),
  spoolSize: decimalSize('spool-size', { otherwise: 512_000_000 }),
  drop: choice('drop', ['oldest', 'newest']),
  partialMaxSize: decimalSize('partial-max-size', { otherwise: 1_000_000 }),
  partialTimeout: duration('partial-timeout', { min: 10, max: 600_000, otherwise: 1000 }),
  ...multilineOptions,
  severityFromLine: flag('severity-from-line', { otherwise: false }),
};

export type RemoteValues = OptionValues<typeof remoteOptions>;

/** A file holds at most this part of the spool, so that dropping the oldest file drops no more. */
const filesInSpool = 4;

export function spoolPolicy(values: RemoteValues): SpoolPolicy {
  return values.drop ?? (values.mode === 'blocking' ? 'block' : 'oldest');
}

/** Limits of what is kept for `docker logs`: our own names, or those of Docker's copy, which keeps 5 files also when a size is given. */
export function remoteLimits(values: RemoteValues, driver: string): RotationLimits {
  const { cacheMaxSize, cacheMaxFile, cacheCompress, cacheDisabled } = values;
  if (cacheDisabled) return { maxSizeBytes: values.maxSize ?? defaultMaxSizeBytes, maxFiles: 1, compress: false };
  const cached = values.maxSize === undefined && cacheMaxSize !== undefined;
  const given: RotationValues = {
    maxSize: values.maxSize ?? cacheMaxSize,
    maxFile: values.maxFile ?? cacheMaxFile ?? (cached ? defaultMaxFiles : undefined),
    maxAge: values.maxAge,
    compress: values.compress,
  };
  const limits = rotationLimits(given, driver);
  // Docker takes cache-compress whether or not there is a file to compress.
  return { ...limits, compress: values.compress ?? (cacheCompress === true && limits.maxFiles > 1) };
}

function assembleOptions(values: RemoteValues, driver: string, most = Number.MAX_SAFE_INTEGER): AssembleOptions {
  return {
    maxBytes: Math.min(values.partialMaxSize, most),
    partialTimeoutMs: values.partialTimeout,
    multiline: multilineRule(values, driver),
  };
}

export function journalFiles(place: LogPlace): LogFiles {
  return logFilesAt({ kind: 'sequence', path: join(place.folder, 'journal') });
}

export interface RemoteLog {
  readonly driver: string;
  readonly values: RemoteValues;
  readonly connectors: readonly Connector[];
  readonly format: MessageFormat;
  readonly acknowledgeLagMs: number;
  /** What the transport can carry; longer lines are sent in parts. */
  readonly maxLineBytes?: number;
}

export function openRemoteLog(place: LogPlace, remote: RemoteLog): OpenedLog {
  const { values, driver } = remote;
  const given = remoteLimits(values, driver);
  const maxSizeBytes = Math.min(given.maxSizeBytes, Math.ceil(values.spoolSize / filesInSpool));
  const journal: JournalWriter = new JournalWriter({
    files: journalFiles(place),
    limits: { ...given, maxSizeBytes },
    mayRemove: (file) => sender.isSent(file.sequence),
    mayCompress: (file) => sender.isSent(file.sequence),
    onError: (error) => place.onError(error, 'a sent file cannot be compressed'),
  });
  const sender = new Sender({
    journal,
    cursorPath: join(place.folder, 'cursor'),
    connectors: remote.connectors,
    format: remote.format,
    assemble: assembleOptions(values, driver, remote.maxLineBytes),
    acknowledgeLagMs: remote.acknowledgeLagMs,
    spool: { maxBytes: values.spoolSize, policy: spoolPolicy(values) },
    onWarning: place.onWarning,
  });
  return { writer: journal, delivery: sender };
}

export function remoteSettings(values: RemoteValues): Record<string, string> {
  return {
    'spool-size': String(values.spoolSize),
    'when full': {
      block: 'the container waits',
      oldest: 'the oldest lines are dropped',
      newest: 'new lines are dropped',
    }[spoolPolicy(values)],
    'partial-max-size': String(values.partialMaxSize),
    'severity-from-line': String(values.severityFromLine),
    'docker logs': values.cacheDisabled ? 'refused' : 'works',
  };
}
