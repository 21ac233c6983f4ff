/** Mounts for volumes: the commands of plugins/linux with the errors that a user can do something about. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { CommandError } from '../linux/command.ts';
import { bindMount, type MountSpec, mountFileSystem, type UnmountKind, unmountTarget } from '../linux/mount.ts';
import { findMountAt, type MountEntry, readMountinfo } from '../linux/mountinfo.ts';
import { PluginError } from '../sdk/errors.ts';
import type { Budget } from './backend.ts';
import { maskMountOptions, maskText } from './mask.ts';
import { identify, identityOf } from './users.ts';

/** Mounts unless the target is mounted already. */
export async function ensureMounted(spec: MountSpec, budget: Budget): Promise<MountEntry> {
  const before = findMountAt(spec.target, readMountinfo());
  if (before !== undefined) return before;
  mkdirSync(spec.target, { recursive: true, mode: 0o700 });
  await mountFileSystem(spec, { timeoutMs: budget.left(), signal: budget.signal }).catch((error: unknown) => {
    throw mountError(spec, error);
  });
  return requireMounted(spec);
}

/**
 * Makes a folder below `base` visible at the target. The kernel follows symbolic links in a bind mount's source,
 * so the result is read back from the mount table: it must be that very folder of that very file system.
 */
export async function ensureBound(
  base: string,
  inside: string,
  target: string,
  options: string,
  budget: Budget,
): Promise<void> {
  const folder = inside === '' ? base : `${base}/${inside}`;
  const mounts = readMountinfo();
  const wanted = identify(folder, mounts);
  const fits = (mount: MountEntry | undefined): boolean => {
    const found = mount === undefined ? undefined : identityOf(mount);
    return found !== undefined && found.device === wanted?.device && found.root === wanted.root;
  };
  const before = findMountAt(target, mounts);
  if (fits(before)) return;
  // Left from a server that has moved, or from other options.
  if (before !== undefined) await unmount(target, 'lazy', budget);
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const spec = { source: folder, target, options: 'bind' };
  await bindMount(folder, target, options, { timeoutMs: budget.left(), signal: budget.signal }).catch(
    (error: unknown) => {
      throw mountError(spec, error);
    },
  );
  if (fits(findMountAt(target, readMountinfo()))) return;
  await unmount(target, 'lazy', budget);
  throw new PluginError('VOL_DEVICE', `${folder} leads out of its file system`, {
    hint: 'no part of the path may be a symbolic link',
  });
}

/** Success when nothing is mounted there. Takes away what is stacked, and the folder. */
export async function ensureUnmounted(target: string, kind: UnmountKind, budget: Budget): Promise<void> {
  for (let left = 8; left > 0 && findMountAt(target, readMountinfo()) !== undefined; left--)
    await unmount(target, kind, budget);
  try {
    rmdirSync(target);
  } catch (error) {
    // Something is in it that nobody mounted: never deleted, and no harm.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EBUSY') throw error;
  }
}

export async function unmount(target: string, kind: UnmountKind, budget: Budget): Promise<void> {
  try {
    await unmountTarget(target, kind, { timeoutMs: budget.left(), signal: budget.signal });
  } catch (error) {
    if (error instanceof CommandError && /not mounted|no mount point/.test(error.stderr)) return;
    const busy = error instanceof CommandError && error.stderr.includes('busy');
    throw new PluginError(
      busy ? 'VOL_IN_USE' : 'VOL_MOUNT_TIMEOUT',
      `${target} could not be unmounted: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

function requireMounted(spec: MountSpec): MountEntry {
  const mount = findMountAt(spec.target, readMountinfo());
  if (mount !== undefined) return mount;
  throw new PluginError('VOL_MOUNT_FAILED', `${spec.source} was mounted on ${spec.target} but is not there`);
}

function mountError(spec: MountSpec, error: unknown): PluginError {
  const options = maskMountOptions(spec.options ?? '');
  const what = `${spec.fsType ?? 'bind'} mount of ${spec.source}${options === '' ? '' : ` (${options})`}`;
  const secrets = spec.secret?.options.split(',').map((option) => option.slice(option.indexOf('=') + 1)) ?? [];
  const reason = maskText(reasonOf(error), secrets);
  if (error instanceof CommandError && error.reason !== 'exit') {
    return new PluginError('VOL_MOUNT_TIMEOUT', `${what} took too long: ${reason}`, {
      hint: 'check the server, or give a longer mount-timeout',
    });
  }
  // The kernel's ENOENT for an export sounds, in the words of mount(8), like a missing device.
  const noExport = spec.fsType?.startsWith('nfs') && reason.includes('does not exist');
  return new PluginError('VOL_MOUNT_FAILED', `${what} failed: ${noExport ? 'the server has no such export' : reason}`);
}

/** The command's own words without its own name: `wrong fs type, bad option, …`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof CommandError)) return error instanceof Error ? error.message : String(error);
  if (error.reason === 'timeout') return 'no answer in time';
  if (error.reason === 'aborted') return 'given up';
  const words = error.stderr.split('\n').find((line) => line.trim() !== '') ?? error.message;
  return words.replace(/^u?mount: [^:]*: /, '').trim();
}

/**
 * Unmounts what a server is behind, which may be gone: politely, then by force, then out of sight. Returns what the last
 * resort was, for the Status of the volume.
 */
export async function unmountRemote(target: string, budget: Budget): Promise<string | undefined> {
  if (findMountAt(target, readMountinfo()) === undefined) return undefined;
  const politeMs = Math.min(2000, budget.left());
  try {
    await ensureUnmounted(target, 'plain', { ...budget, left: () => politeMs });
    return undefined;
  } catch {
    await ensureUnmounted(target, 'lazy', budget);
    return `${target} was unmounted lazily, because its server did not answer or a process still used it`;
  }
}
