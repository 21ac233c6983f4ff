/**
 * cleat-networkd as an engine's managed plugin: cleat-overlay alone, on the one socket that such a plugin has, its networks
 * made by a swarm's managers. `cleat plugin` writes the folder that it runs in; the engine starts it and passes settings in
 * the environment.
 */
import { check, libc, MNT_DETACH } from '../linux/syscall.ts';
import { type DaemonSpec, runDaemon, type Service } from '../sdk/daemon.ts';
import { withSettings } from './managed-settings.ts';
import { driverName } from './overlay/options.ts';
import { networkDaemon } from './service.ts';

const managed: DaemonSpec = {
  ...networkDaemon,
  async start(context): Promise<Service> {
    const settled = (config: Readonly<Record<string, unknown>>) => withSettings(config, process.env);
    const service = await networkDaemon.start({ ...context, config: settled(context.config) });
    return {
      ...service,
      plugins: service.plugins.filter(({ name }) => name === driverName),
      reload: async (config) => service.reload?.(settled(config)),
    };
  },
};

// What comes by standard error an engine writes into its log as errors.
check(libc.dup2(1, 2), 'dup2');
// An engine mounts /proc/sys of its plugins read-only over itself; a bridge is a handful of settings there.
check(libc.umount2('/proc/sys', MNT_DETACH), 'umount2', '/proc/sys');
await runDaemon(managed, ['--log-level', process.env['LOG_LEVEL'] || 'info']);
