import { createHost } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Topology } from './topology.ts';

export const topology: Topology = {
  about: 'a host behind a router that masquerades, and a server outside',
  drawing: `
    inside eth0 198.51.100.2/24 ── inner segment ── eth1 198.51.100.1/24 router eth0 192.0.2.1/24 ── outer segment ── eth0 192.0.2.2/24 server`,
  async build() {
    const [outer, inner] = await Promise.all([createSegment(), createSegment()]);
    const [inside, router, server] = await Promise.all(
      ['inside', 'router', 'server'].map((name) => createHost({ name })),
    );
    if (!inside || !router || !server) throw new Error('three hosts were asked for');
    await outer.attach(router, { name: 'eth0', addresses: ['192.0.2.1/24'] });
    await inner.attach(router, { name: 'eth1', addresses: ['198.51.100.1/24'] });
    await outer.attach(server, { addresses: ['192.0.2.2/24'] });
    await inner.attach(inside, { addresses: ['198.51.100.2/24'], gateway: '198.51.100.1' });
    await router.sh(
      'echo 1 >/proc/sys/net/ipv4/ip_forward; iptables -t nat -A POSTROUTING -s 198.51.100.0/24 -o eth0 -j MASQUERADE',
    );
    const hosts = { inside, router, server, outer: outer.host, inner: inner.host };
    return { hosts, close: async () => void (await Promise.all(Object.values(hosts).map((host) => host.close()))) };
  },
};
