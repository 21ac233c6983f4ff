/**
 * A container's root with everything that is mounted in it, for `cp`: that of its process while it runs; else the layers, with
 * volumes and binds mounted for the time of the visit.
 */
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { check, libc, MNT_DETACH } from '../../plugins/linux/syscall.ts';
import type { Engine } from '../engine.ts';
import type { OciMount } from '../runtime/default-mounts.ts';
import { resolveInRoot } from '../runtime/root-file.ts';
import { mountAll, unmountVolumes } from '../volume/mount-volumes.ts';
import type { Container } from './registry.ts';
import { holdRoot, releaseRoot } from './root-mount.ts';

const MS_RDONLY = 1; // <sys/mount.h>
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MS_REC = 16384;

/** `visit` gets the folder on the host. A stopped container cannot start meanwhile. */
export function visitWholeRoot<T>(
  engine: Engine,
  container: Container,
  visit: (root: string) => Promise<T>,
): Promise<T> {
  if (container.isRunning) return visit(`/proc/${container.state.pid}/root`);
  return container.locked(async () => {
    if (container.isRunning) return visit(`/proc/${container.state.pid}/root`);
    return visitStopped(engine, container, visit);
  });
}

async function visitStopped<T>(engine: Engine, container: Container, visit: (root: string) => Promise<T>): Promise<T> {
  const undo: (() => unknown)[] = [];
  try {
    const root = holdRoot(engine, container);
    undo.push(() => releaseRoot(engine, container));
    undo.push(() => unmountVolumes(engine, container));
    for (const mount of await mountAll(engine, container)) {
      if (mount.type !== 'bind') continue; // a tmpfs of a stopped container is empty
      const target = resolveInRoot(root, mount.destination);
      bindMount(mount, target);
      undo.push(() => check(libc.umount2(target, MNT_DETACH), 'umount2', target));
    }
    if (container.record.hostConfig.ReadonlyRootfs) makeReadOnly(root, undo);
    return await visit(root);
  } finally {
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch (error) {
        engine.log.warn({ err: error, container: container.id }, 'after copying: unmounting');
      }
    }
  }
}

function bindMount(mount: OciMount, target: string): void {
  makeTarget(mount.source, target);
  check(libc.mount(mount.source, target, null, MS_BIND | MS_REC, null), 'mount', target);
  if (mount.options.includes('ro'))
    check(libc.mount(null, target, null, MS_BIND | MS_REMOUNT | MS_RDONLY, null), 'mount', target);
}

/** The mount that holds the layers becomes read-only; what is mounted in it stays as it is. */
function makeReadOnly(root: string, undo: (() => unknown)[]): void {
  check(libc.mount(null, root, null, MS_BIND | MS_REMOUNT | MS_RDONLY, null), 'mount', root);
  undo.push(() => check(libc.mount(null, root, null, MS_BIND | MS_REMOUNT, null), 'mount', root));
}

/** Made as the runtime would make it at the start. */
function makeTarget(source: string, target: string): void {
  if (statSync(target, { throwIfNoEntry: false }) !== undefined) return;
  if (statSync(source).isDirectory()) {
    mkdirSync(target, { recursive: true });
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  closeSync(openSync(target, 'a'));
}
