/**
 * The rule table on the manual page of cleat-bridge is the kernel's: one network of both families, one container with a single
 * port and a range. CLEAT_GOLDEN=1 writes the page.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { startDaemon } from '../support/daemon.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { bindings, networkRequest } from './bridge-lab.ts';

requires('root', 'bridge', 'veth', 'nftables');

const page = new URL('../../plugins/network/bridge/README.md', import.meta.url);
const fence = /(<!-- the table, from a live kernel -->\n\n```nft\n)([\s\S]*?)(```)/;

test('the table on the manual page is the one in the kernel', async () => {
  const host = await createHost({ name: 'readme' });
  try {
    const daemon = await startDaemon('networkd', host, { config: { dns: { engines: [] } } });
    const { network } = new PluginClient({ url: `unix://${daemon.socket('cleat-bridge')}` });
    const networkId = '1a2b3c4d5e6f'.padEnd(64, '0');
    const endpointId = 'e'.repeat(64);
    await network.createNetwork(networkRequest(networkId, { pools: ['192.0.2.0/24', '2001:db8:1::/64'] }));
    const ports = {
      exposedPorts: [],
      portBindings: bindings(['8080:80', '9000-9009:9000-9009', '198.51.100.1|53:53/udp']),
    };
    await host.sh('ip addr add 198.51.100.1/32 dev lo');
    const where = { networkId, endpointId };
    const addresses = { address: '192.0.2.2/24', addressIPv6: '2001:db8:1::2/64' };
    await network.createEndpoint({ ...where, interface: addresses, options: {}, ...ports });
    await network.programExternalConnectivity({ ...where, ...ports, noProxy6To4: false });
    const live = `${await host.sh('nft list table inet cleat')}\n`.replaceAll(
      /redirect to :\d+/g,
      'redirect to :PROXY',
    );
    const text = readFileSync(page, 'utf8');
    if (process.env['CLEAT_GOLDEN']) {
      writeFileSync(
        page,
        text.replace(fence, (_, open: string, __, close: string) => `${open}${live}${close}`),
      );
    } else {
      assert.is(fence.exec(text)?.[2], live, 'run this file with CLEAT_GOLDEN=1 to write the page');
    }
  } finally {
    await host.close();
  }
});

test.run();
