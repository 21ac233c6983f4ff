/** The log service: its drivers, records and routes, wired together. */
import { join } from 'node:path';
import type { DaemonContext, Service } from '../sdk/daemon.ts';
import { openStore } from '../store/store.ts';
import type { DriverSpec } from './driver-spec.ts';
import { gelfDriver } from './gelf/driver.ts';
import { jsonFileDriver } from './json-file/driver.ts';
import { LogSessions } from './sessions.ts';
import { syslogDriver } from './syslog/driver.ts';

const drivers: readonly DriverSpec[] = [jsonFileDriver, syslogDriver, gelfDriver];
const tidyMs = 30_000;

export async function startLogService(context: DaemonContext): Promise<Service> {
  const { log, stateDir } = context;
  const store = openStore(join(stateDir, 'logd.db'), { log });
  const sessions = new LogSessions({ drivers, store, folder: join(stateDir, 'log'), log, makeRoom: () => false });
  sessions.restore();
  const timer = setInterval(() => sessions.tidy(), tidyMs);
  return {
    plugins: drivers.map(({ name }) => ({ name, log: sessions.driver(name) })),
    control: () => {},
    stop: async () => {
      clearInterval(timer);
      sessions.close();
      store.close();
    },
  };
}
