/** `rm`: the record goes last, so that a removal cut short is done again. */
import { rmSync } from 'node:fs';
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import { conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { unmountRoot } from './root-mount.ts';
import { cancelRestart, killContainer } from './stop.ts';

export interface RemoveOptions {
  readonly force: boolean;
  /** Anonymous volumes go too. */
  readonly volumes: boolean;
}

export async function removeContainer(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  const { name } = container.record;
  if (container.state.status === 'removing')
    throw conflict(`removal of container ${container.id} is already in progress`);
  if (container.isRunning || container.state.status === 'restarting') {
    if (!options.force) {
      const advice =
        container.state.status === 'paused'
          ? 'unpause and then stop the container before removal or force remove'
          : 'stop the container before removal or force remove';
      throw conflict(`cannot remove container "${name}": container is ${container.state.status}: ${advice}`);
    }
    container.stopRequested = true;
    cancelRestart(container);
    if (container.isRunning) await killContainer(engine, container, 'SIGKILL');
  }
  await container.locked(() => removeStopped(engine, container, options));
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
