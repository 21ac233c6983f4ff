/** A network driver in 40 lines: a bridge for each network, a veth pair for each endpoint. `docker network create -d example-network n1` */
import * as linux from '../../linux/index.ts'; // 'cleat/linux' in a package of your own
import { integer, type NetworkDriver, parseOptions, runPlugin } from '../index.ts'; // 'cleat/sdk'

const [pluginDir = '/run/docker/plugins'] = process.argv.slice(2);
const schema = { mtu: integer(['com.docker.network.driver.mtu', 'mtu'], { min: 1280, max: 65535, otherwise: 1500 }) };
const kernel = new linux.RouteSocket();
/** Links have names of 15 characters at most. The kernel keeps all the state there is, so a restart forgets nothing. */
const linkName = (kind: 'xb' | 'xh' | 'xc', id: string) => `${kind}${id.slice(0, 12)}`;
const iptables = { command: 'iptables' };
const acceptRule = (link: string) => ({ chain: 'DOCKER-USER', match: ['-i', link, '-o', link, '-j', 'ACCEPT'] });

const network: NetworkDriver = {
  async createNetwork({ networkId, options, ipv4, ipv6 }) {
    const { mtu } = parseOptions(schema, options, { driver: 'example-network' });
    const name = linkName('xb', networkId);
    kernel.ensure(linux.createLink({ kind: 'bridge', name, mtu, up: true }));
    const { index: link } = linux.getLink(kernel, name);
    for (const { gateway: address } of [...ipv4, ...ipv6])
      if (address) kernel.ensure(linux.addAddress({ link, address }));
    // The engine's firewall drops what it does not know, also inside a bridge. No such chain: no such firewall.
    if ((await linux.inspectIptables(4)).hasDockerUser) await linux.ensureIptablesRule(iptables, acceptRule(name));
  },
  async deleteNetwork({ networkId }) {
    await linux.removeIptablesRule(iptables, acceptRule(linkName('xb', networkId)));
    await linux.removeLink(linkName('xb', networkId));
  },
  async createEndpoint({ networkId, endpointId }) {
    const { index: master, mtu } = linux.getLink(kernel, linkName('xb', networkId));
    const peer = { name: linkName('xc', endpointId), mtu };
    kernel.ensure(linux.createVeth({ name: linkName('xh', endpointId), mtu, master, up: true, peer }));
    return {}; // The engine refuses what it had set itself; the container keeps the MAC of its link.
  },
  deleteEndpoint: ({ endpointId }) => linux.removeLink(linkName('xh', endpointId)), // Both ends, wherever the other one is.
  async join({ networkId, endpointId }) {
    const { index: link } = linux.getLink(kernel, linkName('xb', networkId));
    const gateway = linux.listAddresses(kernel, { link }).find(({ family }) => family === 4)?.address;
    const interfaceName = { srcName: linkName('xc', endpointId), dstPrefix: 'eth' };
    return gateway === undefined ? { interfaceName } : { interfaceName, gateway };
  },
};

await runPlugin({ name: 'example-network', network }, { pluginDir });
