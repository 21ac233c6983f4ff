/** What one log driver brings along; receiving, reading back, retention and metrics are the same for all. */
import type { LogInfo } from '../sdk/log-plugin.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { LogFiles } from './files/log-files.ts';
import type { RecordScanner } from './files/record-scanner.ts';
import type { LogWriter } from './log-writer.ts';

export interface LogPlace {
  /** The container's folder; it may not exist yet. */
  readonly folder: string;
  readonly onError: (error: unknown, what: string) => void;
  readonly onWarning: (fields: object, message: string) => void;
}

export interface OpenedLog {
  readonly writer: LogWriter;
  readonly delivery?: Delivery;
}

/** A container's options, checked. */
export interface PreparedLog {
  /** What `tag` came out as; kept, since the template may use what is not kept. */
  readonly tag: string;
  /** Effective settings for `cleat log check`. */
  readonly settings: Readonly<Record<string, string>>;
  /** Files older than this are removed; undefined: never because of their age. */
  readonly maxAgeMs: number | undefined;
  /** False: the user wants no copy for `docker logs`. */
  readonly readable: boolean;
  files(place: LogPlace): LogFiles;
  recordScanner(): RecordScanner;
  open(place: LogPlace): OpenedLog;
}

export interface DriverSpec {
  readonly name: string;
  /**
   * Checks the options; touches neither disk nor network. `tag` is the earlier result where there is one. Throws PluginError.
   */
  prepare(info: LogInfo, tag?: string): PreparedLog;
}
