/**
 * Where the parts of one container are.
 *
 *     DATA_ROOT/containers/ID/   upper work merged (overlayfs), hostname hosts resolv.conf
 *     EXEC_ROOT/containers/ID/   the OCI bundle and the streams; gone with the machine's run
 */
import { join } from 'node:path';
import type { ShimConfig } from '../config/config.ts';

export interface ContainerFolder {
  readonly data: string;
  readonly upper: string;
  readonly work: string;
  /** The root file system, mounted while the container runs (or while somebody copies). */
  readonly merged: string;
  readonly bundle: string;
}

export function containerFolder(config: ShimConfig, id: string): ContainerFolder {
  const data = join(config.dataRoot, 'containers', id);
  return {
    data,
    upper: join(data, 'upper'),
    work: join(data, 'work'),
    merged: join(data, 'merged'),
    bundle: join(config.execRoot, 'containers', id),
  };
}

export function exitFolder(config: ShimConfig): string {
  return join(config.execRoot, 'exits');
}
