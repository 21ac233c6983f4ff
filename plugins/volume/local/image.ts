/**
 * A file system in a sparse file: limits that hold on any file system. The file is made under another name and renamed when
 * it is complete, so that what bears the name is always whole.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommandError } from '../../linux/command.ts';
import { runBounded } from '../../linux/mount.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Budget, Usage } from '../backend.ts';

export type ImageFileSystem = 'ext4' | 'xfs' | 'btrfs';

/** What mkfs needs at least: ext4 a journal, XFS 300 MB since xfsprogs 5.19, btrfs 109 MB. */
const smallest: Readonly<Record<ImageFileSystem, number>> = { ext4: 2 ** 20, xfs: 300 * 2 ** 20, btrfs: 114_294_784 };

/** ext4 uses eleven inodes itself, and the volume's root is one. */
const ownInodes = 12;

export interface ImageSpec {
  readonly bytes: number;
  /** ext4 only: fixed when it is made. */
  readonly inodes: number | undefined;
  readonly fs: ImageFileSystem;
  /** Reserves the room on the disk now, so that a full disk cannot hit a volume that is not full. */
  readonly preallocate: boolean;
}

export async function makeImage(path: string, spec: ImageSpec, budget: Budget): Promise<void> {
  if (spec.bytes < smallest[spec.fs]) {
    throw new PluginError(
      'VOL_QUOTA',
      `a file system (${spec.fs}) needs at least ${smallest[spec.fs]} bytes, and size= is ${spec.bytes}`,
    );
  }
  if (spec.inodes !== undefined && spec.fs !== 'ext4') {
    throw new PluginError('VOL_QUOTA', `inodes= needs fs=ext4 or project quota, and fs is ${spec.fs}`);
  }
  const unfinished = `${path}.new`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(unfinished, { force: true });
  setLength(unfinished, spec.bytes);
  if (spec.preallocate) await run('fallocate', ['-l', String(spec.bytes), unfinished], budget);
  const ext4 = [
    '-q',
    '-F',
    '-m',
    '0',
    '-E',
    `lazy_itable_init=1,lazy_journal_init=1${spec.preallocate ? ',nodiscard' : ''}`,
  ];
  const flags = {
    ext4: [...ext4, ...(spec.inodes === undefined ? [] : ['-N', String(spec.inodes + ownInodes)])],
    xfs: ['-q', '-f', ...(spec.preallocate ? ['-K'] : [])],
    btrfs: ['-q', '-f', ...(spec.preallocate ? ['-K'] : [])],
  }[spec.fs];
  await run(`mkfs.${spec.fs}`, [...flags, '--', unfinished], budget);
  renameSync(unfinished, path);
}

/** Of an ext4 image that is not mounted. */
export async function growImage(path: string, bytes: number, budget: Budget): Promise<void> {
  if (statSync(path).size >= bytes) return;
  setLength(path, bytes);
  await run('e2fsck', ['-f', '-p', path], budget, 1);
  await run('resize2fs', [path], budget);
}

/** Of an image that is not mounted: what it takes on the disk, which is a little more than what is in it. */
export function imageUsage(path: string): Usage {
  const { blocks, size } = statSync(path);
  return { usedBytes: Math.min(blocks * 512, size), limitBytes: size };
}

function setLength(path: string, bytes: number): void {
  const fd = openSync(path, 'a', 0o600);
  try {
    ftruncateSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
}

/** `allowed`: the highest exit code that is a success; e2fsck says 1 when it repaired something. */
async function run(file: string, args: readonly string[], budget: Budget, allowed = 0): Promise<void> {
  try {
    await runBounded(file, args, { timeoutMs: budget.left(), signal: budget.signal });
  } catch (error) {
    if (error instanceof CommandError && error.exitCode !== null && error.exitCode <= allowed) return;
    throw new PluginError('VOL_QUOTA', `the file system image could not be made: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
