/** Removing a container that does not run. The record goes last, so that a removal cut short is done again. */
import { rmSync } from 'node:fs';
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import type { Engine } from '../engine.ts';
import { dropKeptImages } from '../image/kept-images.ts';
import { removeExit } from '../runtime/monitor.ts';
import { removeVolume } from '../volume/volumes.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder, exitFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { unmountRoot } from './root-mount.ts';
import { unmountSharedMemory } from './shared-memory.ts';

export interface RemoveOptions {
  readonly force: boolean;
  /** Anonymous volumes go too. */
  readonly volumes: boolean;
}

/** Under the lock; also finishes what an earlier removal left. */
export async function removeStopped(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  if (engine.containers.find(container.id) === undefined) return;
  container.updateState({ status: 'removing' });
  const { data, bundle } = containerFolder(engine.config, container.id);
  unmountSharedMemory(engine, container);
  unmountRoot(engine, container.id);
  await removeTree(data);
  rmSync(bundle, { recursive: true, force: true });
  removeExit(exitFolder(engine.config), container.id);
  engine.containers.remove(container);
  dropKeptImages(engine);
  if (options.volumes) await removeAnonymousVolumes(engine, container);
  emitContainerEvent(engine, container, 'destroy');
  container.settle('removed');
}

/** Those that nobody else uses; a failure leaves the volume, not the container. */
async function removeAnonymousVolumes(engine: Engine, container: Container): Promise<void> {
  for (const { name, anonymous } of container.record.mounts) {
    if (!anonymous || name === undefined) continue;
    await removeVolume(engine, name, false).catch((error: unknown) => {
      engine.log.warn({ err: error, volume: name }, 'removing an anonymous volume');
    });
  }
}
