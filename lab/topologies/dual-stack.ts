import { createHost } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Topology } from './topology.ts';

export const topology: Topology = {
  about: 'two hosts on one segment, IPv4 and IPv6, and one with IPv6 alone',
  drawing: `
    left  eth0 192.0.2.1/24 2001:db8::1/64 ──┐
    right eth0 192.0.2.2/24 2001:db8::2/64 ──┼── switch
    six   eth0              2001:db8::6/64 ──┘`,
  async build() {
    const segment = await createSegment();
    const [left, right, six] = await Promise.all(['left', 'right', 'six'].map((name) => createHost({ name })));
    if (!left || !right || !six) throw new Error('three hosts were asked for');
    await segment.attach(left, { addresses: ['192.0.2.1/24', '2001:db8::1/64'] });
    await segment.attach(right, { addresses: ['192.0.2.2/24', '2001:db8::2/64'] });
    await segment.attach(six, { addresses: ['2001:db8::6/64'] });
    const hosts = { left, right, six, switch: segment.host };
    return { hosts, close: async () => void (await Promise.all(Object.values(hosts).map((host) => host.close()))) };
  },
};
