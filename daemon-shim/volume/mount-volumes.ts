/** Mounting a container's volumes at start, copying an image folder into an empty one, and letting go of them. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../plugins/linux/command.ts';
import { ApiError, badRequest } from '../api/api-error.ts';
import type { MountRecord } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import type { OciMount } from '../runtime/default-mounts.ts';
import { resolveInRoot } from '../runtime/root-file.ts';
import { findAtDriver, remote, volumePlugin } from './volumes.ts';

const copyTimeoutMs = 600_000;

/** Every mount of the container as the runtime takes it; volumes are mounted at their drivers now. Undone by unmountVolumes. */
export async function mountAll(engine: Engine, container: Container): Promise<OciMount[]> {
  const ready: OciMount[] = [];
  for (const mount of container.record.mounts) {
    if (mount.type === 'tmpfs') ready.push(tmpfsMount(mount));
    else
      ready.push(
        bindMount(mount, mount.type === 'bind' ? bindSource(mount) : await volumeSource(engine, container, mount)),
      );
  }
  return ready;
}

/** Success for what is not mounted; goes on after a failure. */
export async function unmountVolumes(engine: Engine, container: Container): Promise<void> {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume' || mount.mountId === undefined || mount.name === undefined) continue;
    // A driver that was not there, or refused, holds it still: the next mount goes by the same identifier, as Docker's does.
    let heldAs: string | undefined;
    try {
      const plugin = await volumePlugin(engine, mount.driver ?? '');
      await findAtDriver(plugin, mount.name);
      await plugin.unmount({ name: mount.name, id: mount.mountId });
    } catch (error) {
      heldAs = mount.mountId;
      engine.log.warn({ err: error, container: container.id, volume: mount.name }, 'unmounting a volume');
    }
    changeMount(container, mount, { source: '', mountId: heldAs });
  }
}

/** At create, as Docker does: an image that has the folder fills an empty volume, once. */
export async function copyUpVolumes(engine: Engine, container: Container, root: string): Promise<void> {
  for (const mount of container.record.mounts) {
    const { name } = mount;
    if (mount.type !== 'volume' || mount.noCopy || name === undefined) continue;
    const id = randomBytes(32).toString('hex');
    const inImage = resolveInRoot(root, mount.destination);
    if (!existsSync(inImage) || !statSync(inImage).isDirectory()) continue;
    const plugin = await volumePlugin(engine, mount.driver ?? '');
    await findAtDriver(plugin, name);
    const source = await remote(`error while mounting volume '${name}'`, () => plugin.mount({ name, id }));
    try {
      if (readdirSync(source).length === 0) {
        // Contents, owners, modes, times, links and attributes, and the folder's own owner and mode.
        await runCommand('cp', ['-a', '--no-target-directory', inImage, source], { timeoutMs: copyTimeoutMs });
      }
    } finally {
      await findAtDriver(plugin, name);
      await plugin.unmount({ name, id });
    }
  }
}

async function volumeSource(engine: Engine, container: Container, mount: MountRecord): Promise<string> {
  const { name = '' } = mount;
  // Each use has an identifier of its own, known here before the driver knows it.
  const id = mount.mountId ?? randomBytes(32).toString('hex');
  changeMount(container, mount, { mountId: id });
  const plugin = await volumePlugin(engine, mount.driver ?? '');
  await findAtDriver(plugin, name);
  const source = await remote(`error while mounting volume '${name}'`, () => plugin.mount({ name, id })).catch(
    (error: unknown) => {
      // A driver that refuses has mounted nothing.
      if (error instanceof ApiError) changeMount(container, mount, { mountId: undefined });
      throw error;
    },
  );
  changeMount(container, mount, { source, mountId: id });
  if (mount.subpath === undefined) return source;
  const inside = resolveInRoot(source, mount.subpath);
  if (!existsSync(inside))
    throw badRequest(`cannot access path ${join(source, mount.subpath)}: lstat ${inside}: no such file or directory`);
  return inside;
}

interface MountChange {
  readonly source?: string;
  /** undefined: not mounted. */
  readonly mountId?: string | undefined;
}

function changeMount(container: Container, mount: MountRecord, { mountId, ...change }: MountChange): void {
  const mounts = container.record.mounts.map((other) => {
    if (other.destination !== mount.destination) return other;
    const { mountId: _before, ...rest } = other;
    return { ...rest, ...change, ...(mountId === undefined ? {} : { mountId }) };
  });
  // Only what is mounted must be known to a shim that comes after this one.
  if (mountId === undefined || change.source !== undefined) container.remember({ mounts });
  else container.update({ mounts });
}

/** `-v` makes a missing folder, `--mount` refuses it. */
function bindSource(mount: MountRecord): string {
  if (existsSync(mount.source)) return mount.source;
  if (mount.spec?.BindOptions?.CreateMountpoint !== true) {
    throw badRequest(`invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
  }
  mkdirSync(mount.source, { recursive: true });
  return mount.source;
}

function bindMount(mount: MountRecord, source: string): OciMount {
  const recursive = mount.spec?.BindOptions?.NonRecursive === true ? 'bind' : 'rbind';
  const propagation = mount.propagation || 'rprivate';
  return {
    destination: mount.destination,
    type: 'bind',
    source,
    options: [recursive, propagation, mount.rw ? 'rw' : 'ro'],
  };
}

function tmpfsMount(mount: MountRecord): OciMount {
  const given = mount.tmpfsOptions ?? [];
  return {
    destination: mount.destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['noexec', 'nosuid', 'nodev', ...given],
  };
}
