/**
 * The container's root file system: overlayfs of its image's layers and its own upper folder. Several users (the running
 * container, a copy, an export) share one mount; the last one to let go unmounts it.
 */
import { mkdirSync } from 'node:fs';
import { findMountAt, readMountinfo } from '../../plugins/linux/mountinfo.ts';
import { check, libc } from '../../plugins/linux/syscall.ts';
import type { Engine } from '../engine.ts';
import { initLayerName } from '../image/init-layer.ts';
import { type OverlayStack, withOverlayOptions } from '../image/overlay-options.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';

const MNT_DETACH = 2; // <sys/mount.h>
const users = new Map<string, number>();

/** Mounts it unless it is mounted, and returns where. Pair it with releaseRoot. */
export function holdRoot(engine: Engine, container: Container): string {
  const { merged } = containerFolder(engine.config, container.id);
  const count = users.get(container.id) ?? 0;
  if (count === 0 && findMountAt(merged, readMountinfo()) === undefined) mountRoot(engine, container);
  users.set(container.id, count + 1);
  return merged;
}

export function releaseRoot(engine: Engine, container: Container): void {
  const count = (users.get(container.id) ?? 1) - 1;
  if (count > 0) {
    users.set(container.id, count);
    return;
  }
  users.delete(container.id);
  unmountRoot(engine, container.id);
}

/** The mount of a container that outlived an earlier shim. */
export function adoptRoot(container: Container): void {
  users.set(container.id, 1);
}

/** Also for what an earlier shim left mounted; success when nothing is. */
export function unmountRoot(engine: Engine, id: string): void {
  const { merged } = containerFolder(engine.config, id);
  if (findMountAt(merged, readMountinfo()) !== undefined) check(libc.umount2(merged, MNT_DETACH), 'umount2', merged);
}

function mountRoot(engine: Engine, container: Container): void {
  const { data, upper, work, merged } = containerFolder(engine.config, container.id);
  for (const folder of [upper, work, merged]) mkdirSync(folder, { recursive: true });
  withOverlayOptions({ ...lowerLayers(engine, container), writable: data }, (options) =>
    check(libc.mount('overlay', merged, 'overlay', 0, options), 'mount', merged),
  );
}

/** What is below the container's own folder, the topmost first. */
export function lowerLayers(engine: Engine, container: Container): OverlayStack {
  const { images } = engine;
  const image = images.getById(container.record.imageId);
  return { folder: images.layers.folder, layers: [initLayerName, ...images.layerNames(image)] };
}
