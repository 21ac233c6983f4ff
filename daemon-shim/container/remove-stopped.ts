/** Removing a container that does not run. The record goes last, so that a removal cut short is done again. */
import { rmSync } from 'node:fs';
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import type { Engine } from '../engine.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { unmountRoot } from './root-mount.ts';

export interface RemoveOptions {
  readonly force: boolean;
  /** Anonymous volumes go too. */
  readonly volumes: boolean;
}

/** Under the lock; also finishes what an earlier removal left. */
export async function removeStopped(engine: Engine, container: Container, _options: RemoveOptions): Promise<void> {
  if (engine.containers.find(container.id) === undefined) return;
  container.updateState({ status: 'removing' });
  const { data, bundle } = containerFolder(engine.config, container.id);
  unmountRoot(engine, container.id);
  await removeTree(data);
  rmSync(bundle, { recursive: true, force: true });
  engine.containers.remove(container);
  emitContainerEvent(engine, container, 'destroy');
  container.settle('removed');
}
