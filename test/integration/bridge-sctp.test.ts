/** Published SCTP ports by traffic, which not every kernel can: over both families, from outside and from the host. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { requiresOrGuest } from '../support/guest.ts';

await requiresOrGuest('test/integration/bridge-sctp.test.ts', 'root', 'bridge', 'veth', 'sctp');
const { ask, createLab, serve } = await import('./bridge-lab.ts');

test('SCTP reaches a container by its published port, and by no other', async () => {
  const lab = await createLab();
  try {
    const net = await lab.network({ pools: ['192.0.2.0/25', '2001:db8:1::/64'] });
    const one = await lab.container(net, {
      address: '192.0.2.2/25',
      address6: '2001:db8:1::2/64',
      ports: ['7001:9/sctp'],
    });
    await serve(one, lab.host, 'one', 'SCTP6-LISTEN:9');
    const says = (address: string, port = 7001) => ask(lab.outside, address, port, 'SCTP');
    for (const address of ['198.51.100.1', '2001:db8:51::1'])
      await eventually(`outside reaches ${address}`, async () => /^one /.test(await says(address)));
    await lab.outside.sh('ip route add 192.0.2.0/25 via 198.51.100.1');
    assert.is(await says('192.0.2.2', 9), '', 'not by its own address');
    await eventually('the host reaches it', async () =>
      /^one /.test(await ask(lab.host, '198.51.100.1', 7001, 'SCTP')),
    );
    await one.remove();
    assert.is(await says('198.51.100.1'), '');
  } finally {
    await lab.close();
  }
});

test.run();
