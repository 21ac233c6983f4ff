/** Requests read back by the readers of the kernel's answers, which have the same form; and readers on broken answers. */
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addAddress, readAddress } from './address.ts';
import { changeBridgePort, changeLink, createLink, createVeth, deleteLinkGroup, readLink } from './link.ts';
import { type Message, MessageWriter, NetlinkFormatError, readMessages } from './message.ts';
import { isFdb, readFdbEntry, readNeighbour, replaceFdbEntry, replaceNeighbour } from './neighbour.ts';
import { addRoute, readRoutes } from './route.ts';
import type { Request } from './socket.ts';

function bodyOf(request: Request): Buffer {
  const writer = new MessageWriter();
  writer.begin(request.type, request.flags, 1);
  request.write(writer);
  writer.end();
  return (readMessages(Buffer.from(writer.bytes))[0] as Message).body;
}

test('a link of each kind keeps its settings and options', () => {
  const vxlan = {
    id: 16_777_215,
    local: '2001:db8::1',
    group: '2001:db8::2',
    port: 4789,
    learning: false,
    gbp: true,
    df: 'set',
  } as const;
  const link = readLink(
    bodyOf(createLink({ name: 'cx1', kind: 'vxlan', parent: 3, mtu: 1450, mac: '02:00:00:00:00:01', options: vxlan })),
  );
  assert.equal(link.options, vxlan);
  assert.equal(
    [link.name, link.kind, link.parent, link.mtu, link.mac, link.up],
    ['cx1', 'vxlan', 3, 1450, '02:00:00:00:00:01', false],
  );
  const macvlan = readLink(
    bodyOf(createLink({ name: 'm', kind: 'macvlan', parent: 3, up: true, options: { mode: 'passthru', flags: 1 } })),
  );
  assert.equal(macvlan.options, { mode: 'passthru', flags: 1 });
  assert.ok(macvlan.up);
  const ipvlan = readLink(
    bodyOf(createLink({ name: 'i', kind: 'ipvlan', parent: 3, options: { mode: 'l3s', flag: 'private' } })),
  );
  assert.equal(ipvlan.options, { mode: 'l3s', flag: 'private' });
  const vlan = readLink(
    bodyOf(createLink({ name: 'v', kind: 'vlan', parent: 3, options: { id: 4094, protocol: '802.1ad' } })),
  );
  assert.equal(vlan.options, { id: 4094, protocol: '802.1ad' });
  const port = { isolated: true, hairpin: false, cost: 70_000, neighbourSuppress: true };
  assert.equal(readLink(bodyOf(changeBridgePort(5, port))).bridgePort, port);
});

test('addresses, routes and neighbours of both families', () => {
  const address = readAddress(bodyOf(addAddress({ link: 4, address: '2001:db8::5/64', scope: 'link' })));
  assert.equal([address.address, address.prefixLength, address.link, address.scope], ['2001:db8::5', 64, 4, 'link']);
  assert.is(readAddress(bodyOf(addAddress({ link: 4, address: '192.0.2.1/32', peer: '192.0.2.2' }))).peer, '192.0.2.2');
  const given = {
    destination: '198.51.100.0/24',
    gateway: 'fe80::1',
    link: 4,
    table: 70_000,
    metric: 5,
    mtu: 1400,
    onlink: true,
  } as const;
  const [route] = readRoutes(bodyOf(addRoute(given)));
  assert.equal({ ...route, ...given }, route);
  assert.is(readRoutes(bodyOf(addRoute({ destination: '::/0', gateway: 'fe80::1', link: 4 })))[0]?.destination, '::/0');
  const neighbour = readNeighbour(
    bodyOf(replaceNeighbour({ link: 4, address: '192.0.2.9', mac: '02:00:00:00:00:09' })),
  );
  assert.equal([neighbour?.address, neighbour?.mac, neighbour?.state], ['192.0.2.9', '02:00:00:00:00:09', 'permanent']);
  const entry = {
    link: 4,
    mac: '02:00:00:00:00:09',
    destination: '192.0.2.9',
    vni: 77,
    port: 4789,
    table: 'self',
    lifetime: 'static',
  } as const;
  const body = bodyOf(replaceFdbEntry(entry));
  assert.ok(isFdb(body));
  const read = readFdbEntry(body);
  assert.equal({ ...read, ...entry }, read);
});

test('every answer that is cut or random is read or refused, never anything else', () => {
  const bodies = [
    bodyOf(createVeth({ name: 'a', master: 1, peer: { name: 'b', mac: '02:00:00:00:00:01' } })),
    bodyOf(createLink({ name: 'x', kind: 'bridge', options: { stp: true, priority: 7 } })),
    bodyOf(
      addAddress({ link: 4, address: '192.0.2.1/24', broadcast: '192.0.2.255', label: 'eth0:1', validSeconds: 60 }),
    ),
    bodyOf(addRoute({ destination: '198.51.100.0/24', gateway: '192.0.2.1', metric: 1, mtu: 1400 })),
    bodyOf(replaceFdbEntry({ link: 4, mac: '02:00:00:00:00:09', destination: '192.0.2.9', table: 'self' })),
  ];
  const readers = [readLink, readAddress, readRoutes, readNeighbour, readFdbEntry];
  const attempt = (body: Buffer): void => {
    for (const read of readers) {
      try {
        read(body);
      } catch (error) {
        // RangeError and TypeError are what Buffer and the address reader say of a payload that is too short.
        if (!(error instanceof NetlinkFormatError || error instanceof RangeError || error instanceof TypeError))
          throw error;
      }
    }
  };
  for (const body of bodies)
    for (let size = 0; size <= body.length; size++) attempt(Buffer.from(body.subarray(0, size)));
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => attempt(Buffer.from(bytes))),
    { numRuns: 300 },
  );
});

test('what cannot be meant is refused before the kernel sees it', () => {
  assert.throws(() => deleteLinkGroup(0), /group 0/);
  assert.throws(() => changeLink('eth0', { name: 'eth1' }), /by its index/);
  assert.throws(() => addRoute({ destination: 'default' }), /is no IP/);
});

test.run();
