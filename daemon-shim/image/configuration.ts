/** Checks of an image configuration that comes from outside; OCI image specification, "Image Configuration". */
import { createHash } from 'node:crypto';
import { badRequest } from '../api/api-error.ts';
import { parseArchiveJson } from './archive-files.ts';
import type { ImageConfiguration } from './image-store.ts';

export interface CheckedConfiguration {
  /** `sha256:…` of the text. */
  readonly id: string;
  readonly diffIds: readonly string[];
  readonly configuration: ImageConfiguration;
}

/** Throws 400 for what no image of this engine can be. Fields that the shim reads have their types afterwards. */
export function checkConfiguration(text: string): CheckedConfiguration {
  const value = parseArchiveJson(text, 'the image configuration');
  if (!isObject(value)) throw invalid('it is no object');
  const { os, rootfs, config, history } = value;
  if (typeof os === 'string' && os !== '' && os !== 'linux') throw badRequest(`cannot load ${os} image on linux`);
  if (!isObject(rootfs)) throw invalid('it has no rootfs');
  const diffIds = rootfs['diff_ids'] ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id)))
    throw invalid('rootfs.diff_ids is no list of digests');
  if (history !== undefined && history !== null && !(Array.isArray(history) && history.every(isObject)))
    throw invalid('history is no list');
  if (config !== undefined && config !== null) checkConfig(config);
  return {
    id: `sha256:${createHash('sha256').update(text).digest('hex')}`,
    diffIds,
    configuration: value as ImageConfiguration,
  };
}

const lists = ['Env', 'Cmd', 'Entrypoint', 'OnBuild', 'Shell'];
const maps = ['Labels', 'ExposedPorts', 'Volumes', 'Healthcheck'];
const texts = ['User', 'WorkingDir', 'StopSignal', 'Hostname', 'Image'];

function checkConfig(config: unknown): void {
  if (!isObject(config)) throw invalid('config is no object');
  for (const name of lists) {
    const list = config[name] ?? [];
    if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
      throw invalid(`${name} is no list of texts`);
  }
  for (const name of maps) {
    if (!isObject(config[name] ?? {})) throw invalid(`${name} is no object`);
  }
  for (const name of texts) {
    if (typeof (config[name] ?? '') !== 'string') throw invalid(`${name} is no text`);
  }
  const labels = Object.values((config['Labels'] as object | null | undefined) ?? {});
  if (!labels.every((label) => typeof label === 'string')) throw invalid('a label is no text');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string) {
  return badRequest(`invalid image configuration: ${what}`);
}
