import { createHost } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Topology } from './topology.ts';

export const topology: Topology = {
  about: 'two hosts on one Ethernet segment, IPv4',
  drawing: `
    left  eth0 192.0.2.1/24 ──┐
                              ├── switch
    right eth0 192.0.2.2/24 ──┘`,
  async build() {
    const segment = await createSegment();
    const [left, right] = await Promise.all([createHost({ name: 'left' }), createHost({ name: 'right' })]);
    await segment.attach(left, { addresses: ['192.0.2.1/24'] });
    await segment.attach(right, { addresses: ['192.0.2.2/24'] });
    const hosts = { left, right, switch: segment.host };
    return { hosts, close: async () => void (await Promise.all(Object.values(hosts).map((host) => host.close()))) };
  },
};
