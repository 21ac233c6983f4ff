/** A daemon with cleat-ipam alone: what a host runs that wants the addresses and keeps the engine's own networks. */
import { join } from 'node:path';
import { parseEngineSockets } from '../../plugins/network/engine/engine-sockets.ts';
import { startIpam } from '../../plugins/network/ipam/ipam.ts';
import { runDaemon } from '../../plugins/sdk/daemon.ts';
import { openStore } from '../../plugins/store/store.ts';

await runDaemon({
  name: 'networkd',
  about: 'Serves cleat-ipam.',
  start: async ({ config, stateDir, log, registry }) => {
    const store = openStore(join(stateDir, 'networkd.db'), { log });
    const ipam = startIpam({ store, config: config['ipam'], log, registry });
    ipam.watch({ engineSockets: parseEngineSockets(config['engines']) });
    return {
      plugins: [ipam.plugin],
      control: (app) => {
        app.get('/status', () => ipam.status());
      },
      stop: async () => {
        ipam.close();
        store.close();
      },
    };
  },
});
