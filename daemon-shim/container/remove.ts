/** `rm`: of a container that may still run. */
import { conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import type { Container } from './registry.ts';
import { type RemoveOptions, removeStopped } from './remove-stopped.ts';
import { cancelRestart, killContainer } from './stop.ts';

export async function removeContainer(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  const { name } = container.record;
  if (container.state.status === 'removing')
    throw conflict(`removal of container ${container.id} is already in progress`);
  if (container.isRunning || container.state.status === 'restarting') {
    if (!options.force) {
      const advice =
        container.state.status === 'paused'
          ? 'unpause and then stop the container before removal or force remove'
          : 'stop the container before removing or force remove';
      throw conflict(`cannot remove container "${name}": container is ${container.state.status}: ${advice}`);
    }
    container.stopRequested = true;
    cancelRestart(container);
    // A restart may be under way: it ends first.
    await container.locked(async () => {});
    if (container.isRunning) await killContainer(engine, container, 'SIGKILL');
  }
  await container.locked(() => removeStopped(engine, container, options));
}
