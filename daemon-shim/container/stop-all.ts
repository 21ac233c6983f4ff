/** The end of a shim with --live-restore=false: containers are stopped, and come back by their restart policies. */
import type { Engine } from '../engine.ts';
import { stopContainer } from './stop.ts';

export async function stopAllContainers(engine: Engine): Promise<void> {
  const { shutdownTimeoutSeconds } = engine.config;
  const running = engine.containers.list().filter((container) => container.isRunning);
  await Promise.all(
    running.map(async (container) => {
      const { manuallyStopped } = container.state;
      const timeoutSeconds = container.record.config.StopTimeout ?? shutdownTimeoutSeconds;
      await stopContainer(engine, container, { timeoutSeconds }).catch((error: unknown) => {
        engine.log.error({ err: error, container: container.id }, 'stopping a container at the end');
      });
      // The user did not ask for it: `always` and `unless-stopped` start it again.
      if (engine.containers.find(container.id) !== undefined) container.updateState({ manuallyStopped });
    }),
  );
}
