/** Whether one mount of a request makes sense, in Docker's words; nothing is looked up but the source of a bind. */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { badRequest } from '../api/api-error.ts';
import type { MountConfig } from '../container/record.ts';
import { checkVolumeName } from './volumes.ts';

export const propagations: readonly string[] = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];

/** Throws Docker's 400: `invalid mount config for type "bind": …`. */
export function checkMount(mount: MountConfig): void {
  const problem = problemOf(mount);
  if (problem !== undefined) throw badRequest(`invalid mount config for type "${mount.Type}": ${problem}`);
  if (mount.Type === 'volume' && mount.Source) checkVolumeName(mount.Source);
}

function problemOf(mount: MountConfig): string | undefined {
  const { Type: type, Target: target = '', Source: source = '' } = mount;
  if (!['bind', 'volume', 'tmpfs'].includes(type)) return 'mount type unknown';
  if (target === '') return 'field Target must not be empty';
  if (posix.normalize(target).replace(/(.)\/$/, '$1') === '/') return "invalid specification: destination can't be '/'";
  const path = relativePath(target);
  if (path !== undefined) return path;
  const foreign = (['BindOptions', 'VolumeOptions', 'TmpfsOptions'] as const).find(
    (field) => mount[field] !== undefined && mount[field] !== null && field.toLowerCase() !== `${type}options`,
  );
  if (type === 'tmpfs' && source !== '') return 'field Source must not be specified';
  if (type === 'bind' && source === '') return 'field Source must not be empty';
  if (foreign !== undefined) return `field ${foreign} must not be specified`;
  if (type === 'volume') {
    return source === '' && mount.VolumeOptions?.Subpath
      ? 'must not set Subpath when using anonymous volumes'
      : undefined;
  }
  return type === 'bind' ? bindProblem(mount, source) : undefined;
}

function bindProblem({ BindOptions: options }: MountConfig, source: string): string | undefined {
  const propagation = options?.Propagation;
  if (propagation && !propagations.includes(propagation)) return `invalid propagation mode: ${propagation}`;
  const path = relativePath(source);
  if (path !== undefined) return path;
  if (options?.CreateMountpoint !== true && !existsSync(source)) return `bind source path does not exist: ${source}`;
  return undefined;
}

function relativePath(path: string): string | undefined {
  return path.startsWith('/') ? undefined : `invalid mount path: '${path}' mount path must be absolute`;
}
