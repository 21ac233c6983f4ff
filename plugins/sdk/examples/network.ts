/** A network driver in 50 lines: a bridge a network, a veth pair an endpoint, all by `ip`. `docker network create -d example-network n1` */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { integer, listenPlugin, type NetworkDriver, parseOptions } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins'] = process.argv.slice(2);
const schema = { mtu: integer(['com.docker.network.driver.mtu', 'mtu'], { min: 1280, max: 65535, otherwise: 1500 }) };
const run = promisify(execFile);
const ip = async (...args: string[]) => (await run('ip', args)).stdout;
// The engine's firewall drops what it does not know, also inside a bridge. No such chain: no such firewall.
const rule = (action: '-I' | '-D', link: string) =>
  run('iptables', ['-w', action, 'DOCKER-USER', '-i', link, '-o', link, '-j', 'ACCEPT']).catch(() => undefined);
const exists = async (link: string) =>
  ip('link', 'show', link).then(
    () => true,
    () => false,
  );
const remove = async (link: string) => void ((await exists(link)) && (await ip('link', 'delete', link)));
// Link names have 15 characters at most. The kernel keeps all the state there is, so a restart forgets nothing.
const bridgeOf = (networkId: string) => `xb${networkId.slice(0, 12)}`;
const hostEnd = (endpointId: string) => `xh${endpointId.slice(0, 12)}`;
const containerEnd = (endpointId: string) => `xc${endpointId.slice(0, 12)}`;

const network: NetworkDriver = {
  capabilities: { scope: 'local' },
  async createNetwork({ networkId, options, ipv4, ipv6 }) {
    const { mtu } = parseOptions(schema, options, { driver: 'example-network' });
    const bridge = bridgeOf(networkId);
    if (!(await exists(bridge))) await ip('link', 'add', bridge, 'mtu', String(mtu), 'type', 'bridge');
    for (const { gateway } of [...ipv4, ...ipv6]) if (gateway) await ip('address', 'replace', gateway, 'dev', bridge);
    await ip('link', 'set', bridge, 'up');
    await rule('-D', bridge); // Made twice is made once.
    await rule('-I', bridge);
  },
  async deleteNetwork({ networkId }) {
    await rule('-D', bridgeOf(networkId));
    await remove(bridgeOf(networkId));
  },
  async createEndpoint({ networkId, endpointId }) {
    const [host, container] = [hostEnd(endpointId), containerEnd(endpointId)];
    const [bridge] = JSON.parse(await ip('-json', 'link', 'show', bridgeOf(networkId)));
    if (!(await exists(host))) {
      await ip('link', 'add', host, 'mtu', bridge.mtu, 'type', 'veth', 'peer', 'name', container, 'mtu', bridge.mtu);
    }
    await ip('link', 'set', host, 'master', bridgeOf(networkId), 'up');
    return {}; // The engine refuses what it had set itself; the container keeps the MAC of its link.
  },
  deleteEndpoint: ({ endpointId }) => remove(hostEnd(endpointId)), // Removes both ends, wherever the other one is.
  endpointOperInfo: async () => ({}),
  async join({ networkId, endpointId }) {
    const [bridge] = JSON.parse(await ip('-json', 'address', 'show', 'dev', bridgeOf(networkId)));
    const gateway = bridge.addr_info.find((one: { family: string }) => one.family === 'inet')?.local;
    return { interfaceName: { srcName: containerEnd(endpointId), dstPrefix: 'eth' }, ...(gateway ? { gateway } : {}) };
  },
  leave: async () => undefined, // The link is still inside: the engine moves it out after this answer.
  programExternalConnectivity: async () => undefined, // Publishing ports is left to grown-up drivers.
  revokeExternalConnectivity: async () => undefined,
};

const listening = await listenPlugin({ name: 'example-network', network }, { pluginDir });
process.once('SIGTERM', () => void listening.close());
