/** The kinds of links that many kernels have and some lack: dummy, ipvlan, VLAN; in a guest kernel where this one lacks them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  changeLinkOptions,
  createAnonymousNetns,
  createLink,
  deleteLink,
  getLink,
  type Netns,
  RouteSocket,
  runCommand,
} from '../../plugins/linux/index.ts';
import { requiresOrGuest } from '../support/guest.ts';

await requiresOrGuest('test/integration/linux-link-kinds.test.ts', 'root', 'dummy', 'ipvlan', 'vlan');

const test = suite<{ netns: Netns; route: RouteSocket }>('kinds of links');

test.before.each((context) => {
  context.netns = createAnonymousNetns();
  context.route = new RouteSocket(context.netns);
  context.route.apply(createLink({ name: 'd0', kind: 'dummy', up: true, mtu: 1400, mac: '02:00:00:00:00:01' }));
});

test.after.each(({ netns, route }) => {
  route.close();
  netns.close();
});

async function data(netns: Netns, name: string): Promise<Record<string, unknown>> {
  const { stdout } = await runCommand('ip', ['-json', '-details', 'link', 'show', 'dev', name], {
    timeoutMs: 10_000,
    netns,
  });
  const [link] = JSON.parse(stdout) as [{ linkinfo: { info_kind: string; info_data?: Record<string, unknown> } }];
  return { kind: link.linkinfo.info_kind, ...link.linkinfo.info_data };
}

test('dummy', async ({ netns, route }) => {
  assert.is((await data(netns, 'd0'))['kind'], 'dummy');
  const link = getLink(route, 'd0');
  assert.equal([link.kind, link.mtu, link.mac, link.up], ['dummy', 1400, '02:00:00:00:00:01', true]);
  route.apply(deleteLink('d0'));
  assert.is(route.attempt([deleteLink('d0')])[0]?.code, 'ENODEV');
});

test('VLAN of both protocols', async ({ netns, route }) => {
  const parent = getLink(route, 'd0').index;
  route.apply(
    createLink({ name: 'd0.10', kind: 'vlan', parent, options: { id: 10 } }),
    createLink({ name: 'd0.20', kind: 'vlan', parent, options: { id: 20, protocol: '802.1ad' } }),
  );
  assert.equal([(await data(netns, 'd0.10'))['id'], (await data(netns, 'd0.10'))['protocol']], [10, '802.1Q']);
  assert.equal([(await data(netns, 'd0.20'))['id'], (await data(netns, 'd0.20'))['protocol']], [20, '802.1ad']);
  assert.equal(getLink(route, 'd0.20').options, { id: 20, protocol: '802.1ad' });
  assert.is(route.attempt([createLink({ name: 'x', kind: 'vlan', parent, options: { id: 10 } })])[0]?.code, 'EEXIST');
});

test('ipvlan in every mode; the mode can be changed', async ({ netns, route }) => {
  const parent = getLink(route, 'd0').index;
  for (const mode of ['l2', 'l3', 'l3s'] as const) {
    route.apply(createLink({ name: 'iv0', kind: 'ipvlan', parent, options: { mode, flag: 'private' } }));
    const shown = await data(netns, 'iv0');
    assert.equal([shown['mode'], shown['private'] ?? shown['flags']], [mode, true]);
    assert.equal(getLink(route, 'iv0').options, { mode, flag: 'private' });
    route.apply(deleteLink('iv0'));
  }
  route.apply(createLink({ name: 'iv0', kind: 'ipvlan', parent, options: { mode: 'l2' } }));
  route.apply(changeLinkOptions('iv0', 'ipvlan', { mode: 'l3' }));
  assert.is((await data(netns, 'iv0'))['mode'], 'l3');
});

test.run();
