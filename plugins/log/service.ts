/** The log service: its drivers, records, retention, metrics and routes, wired together. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonContext, Service } from '../sdk/daemon.ts';
import { openStore } from '../store/store.ts';
import { parseLogConfig } from './config.ts';
import { logControl } from './control.ts';
import { logDrivers } from './drivers.ts';
import { registerLogMetrics } from './metrics.ts';
import { Retention } from './retention.ts';
import { LogSessions } from './sessions.ts';

const enforceMs = 30_000;

export async function startLogService(context: DaemonContext): Promise<Service> {
  const { log, stateDir, registry } = context;
  const folder = join(stateDir, 'log');
  // 0710: shippers of the folder's group may reach files whose path they know.
  mkdirSync(folder, { recursive: true, mode: 0o710 });
  let config = parseLogConfig(context.config, folder);
  const store = openStore(join(stateDir, 'logd.db'), { log });
  const sessions: LogSessions = new LogSessions({
    drivers: logDrivers,
    store,
    folder,
    log,
    makeRoom: () => retention.makeRoom(),
    onUnseen: (containerId) => void retention.see(containerId),
  });
  const retention = new Retention({ sessions, folder, config, log });
  sessions.restore();
  registerLogMetrics(registry, sessions);

  const enforce = (): void => {
    try {
      sessions.tidy();
      retention.enforce();
    } catch (error) {
      log.error({ err: error }, 'retention failed');
    }
  };
  const enforceTimer = setInterval(enforce, enforceMs);
  const poll = (): void => {
    pollTimer = setTimeout(async () => {
      await retention
        .forgetRemoved()
        .catch((error: unknown) => log.error({ err: error }, 'removed containers cannot be told'));
      if (!stopped) poll();
    }, config.enginePollMs);
  };
  let stopped = false;
  let pollTimer: NodeJS.Timeout | undefined;
  poll();

  return {
    plugins: logDrivers.map(({ name }) => ({ name, log: sessions.driver(name) })),
    control: logControl(sessions, enforce),
    reload: async (given) => {
      config = parseLogConfig(given, folder);
      retention.reload(config);
      enforce();
    },
    stop: async () => {
      stopped = true;
      clearInterval(enforceTimer);
      clearTimeout(pollTimer);
      sessions.close();
      store.close();
    },
  };
}
