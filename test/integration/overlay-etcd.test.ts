/** The control plane on a real etcd, over loopback: who gets in, what is agreed on, and what is left of it when history goes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RouteSocket } from '../../plugins/linux/netlink/route-socket.ts';
import { openNetns } from '../../plugins/linux/netns.ts';
import { formatCidr } from '../../plugins/network/address/cidr.ts';
import type { SharedNetwork } from '../../plugins/network/overlay/control-plane.ts';
import { readEtcdConfig } from '../../plugins/network/overlay/etcd/config.ts';
import { EtcdPlane } from '../../plugins/network/overlay/etcd/etcd-plane.ts';
import { findOwnUnderlay } from '../../plugins/network/overlay/underlay.ts';
import { openStore, type Store } from '../../plugins/store/store.ts';
import { eventually } from '../support/deadline.ts';
import { type Etcd, type EtcdVersion, makeCertificates, startEtcd } from '../support/etcd.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('program:etcd', 'program:etcdctl', 'engine-28');

const pool = '10.0.0.0/24';
let said = '';
const log = pino(
  { level: 'debug' },
  {
    write: (line: string) => {
      said += line;
    },
  },
);

interface Options {
  readonly store?: Store;
  readonly leaseMs?: number;
  readonly reclaim?: string;
  readonly shares?: number;
  readonly config?: Readonly<Record<string, unknown>>;
}

let stores = 0;
const newStore = (etcd: Etcd) => openStore(join(etcd.dir, `store-${++stores}.db`));

function start(etcd: Etcd, index: number, options: Options = {}): EtcdPlane {
  const { store = newStore(etcd), leaseMs = 3000, reclaim = '60s', shares, config } = options;
  return new EtcdPlane({
    config: readEtcdConfig({ endpoints: etcd.endpoints, reclaim, ...config }),
    store,
    node: `node-${index}`,
    hostName: `host-${index}`,
    leaseMs: () => leaseMs,
    shares,
    onChange: () => {},
    log,
  });
}

const endpoint = (id: string) => ({ id, addresses: ['10.0.0.9'], mac: '02:42:0a:00:00:09', names: [id] });
const network = (index: number, ...ids: string[]): SharedNetwork => ({
  name: 'prod',
  vni: 7,
  port: 4789,
  host: `192.0.2.${index}`,
  pools: [pool],
  gateways: ['10.0.0.1'],
  shares: 0,
  attributes: {},
  endpoints: ids.map(endpoint),
});
const seen = (plane: EtcdPlane): string =>
  plane
    .remoteParts('prod')
    .map((part) => `${part.hostName}:${part.network.endpoints.map(({ id }) => id).sort()}`)
    .sort()
    .join(' ');
const sees = (plane: EtcdPlane, what: string) => eventually(`"${what}"`, () => seen(plane) === what, { everyMs: 20 });
const closeAll = (planes: readonly (EtcdPlane | undefined)[]) => Promise.all(planes.map((plane) => plane?.close()));

for (const version of ['3.4', '3.5'] as const satisfies readonly EtcdVersion[]) {
  test(`etcd ${version}: records, compaction, an older backup, and the end of a network`, async () => {
    const etcd = await startEtcd({ version });
    const [one, two] = [start(etcd, 1), start(etcd, 2, { leaseMs: 60_000 })];
    let late: EtcdPlane | undefined;
    try {
      await one.define(network(1));
      one.announce(network(1, 'a'));
      two.announce(network(2, 'b'));
      await Promise.all([sees(one, 'host-2:b'), sees(two, 'host-1:a')]);
      const differs = await two
        .define({ ...network(2), gateways: ['10.0.0.2'] })
        .catch((error: Error) => error.message);
      assert.match(String(differs), /prod has gateways 10\.0\.0\.1 on the other hosts, here it would be 10\.0\.0\.2/);
      const taken = await two.define({ ...network(2), name: 'other' }).catch((error: Error) => error.message);
      assert.match(String(taken), /VNI 7 of the network other belongs to the network prod/);

      const snapshot = join(etcd.dir, 'snapshot');
      await etcd.save(snapshot);
      one.change('prod', { kind: 'put', endpoint: endpoint('c') });
      one.change('prod', { kind: 'remove', endpointId: 'a' });
      one.change('prod', { kind: 'attributes', attributes: { key: 'k' } });
      await sees(two, 'host-1:c');
      await eventually('attributes too', () => two.remoteParts('prod')[0]?.network.attributes['key'] === 'k');

      // Nobody listens while the history goes.
      await etcd.members[0]?.signal('SIGSTOP');
      await eventually('the silence is noticed', () => two.status().state !== 'connected');
      one.change('prod', { kind: 'put', endpoint: endpoint('d') });
      await etcd.members[0]?.signal('SIGCONT');
      await sees(two, 'host-1:c,d');
      const status = JSON.parse(await etcd.ctl('endpoint', 'status', '-w', 'json'));
      await etcd.ctl('compact', String(status[0].Status.header.revision));
      one.change('prod', { kind: 'remove', endpointId: 'd' });
      await sees(two, 'host-1:c');

      // The backup knows "a" and not "c"; those who live say it again, and nobody believed for a moment that it was gone.
      let lost = false;
      const watching = setInterval(() => {
        lost ||= !seen(two).includes('c');
      }, 1);
      await etcd.restore(snapshot);
      await eventually('both are back', () => [one, two].every((plane) => plane.status().state === 'connected'));
      await sees(two, 'host-1:c');
      await eventually('in the store too', async () => {
        const keys = await etcd.ctl('get', '--prefix', '--keys-only', '/cleat/networks/prod/endpoints/node-1/');
        return keys.trim() === '/cleat/networks/prod/endpoints/node-1/c';
      });
      clearInterval(watching);
      assert.is(lost, false, 'what lives was never gone');

      // Somebody tidies up.
      await etcd.ctl('del', '--prefix', '/cleat/networks/prod/endpoints/');
      await eventually('written again', async () => {
        const keys = await etcd.ctl('get', '--prefix', '--keys-only', '/cleat/networks/prod/endpoints/');
        return keys.includes('node-1/c') && keys.includes('node-2/b');
      });
      // And what is no record of ours harms nobody.
      await etcd.ctl('put', '/cleat/networks/prod/endpoints/node-9/x', '{"mac": 7}');
      await etcd.ctl('put', '/cleat/networks/prod/hosts/node-9', 'no JSON');
      late = start(etcd, 3);
      late.announce(network(3));
      await sees(late, 'host-1:c host-2:b');
      await etcd.ctl('del', '--prefix', '/cleat/networks/prod/endpoints/node-9');
      await etcd.ctl('del', '/cleat/networks/prod/hosts/node-9');

      // Gone without a word: after the lease, and not before.
      await one.close();
      assert.match(seen(two), /host-1:c/);
      await sees(two, 'host-3:');
      for (const plane of [two, late]) plane.withdraw('prod');
      await eventually('nothing is left', async () => (await etcd.ctl('get', '--prefix', '/cleat/')) === '');
    } finally {
      await closeAll([one, two, late]);
      await etcd.close();
    }
  });
}

test('blocks: no two hosts have one, whoever dies when; they come back after their time', async () => {
  const etcd = await startEtcd();
  const kept = [1, 2, 3].map(() => newStore(etcd));
  const planes = kept.map((store, index) => start(etcd, index, { store, reclaim: '5s', shares: 4 }));
  let again: EtcdPlane | undefined;
  try {
    const blocks = (plane: EtcdPlane | undefined) => plane?.held('prod', pool).map(formatCidr).sort() ?? [];
    await Promise.all(planes.map((plane) => plane.claim('prod', pool)));
    const [one, two, three] = planes;
    const all = planes.flatMap(blocks);
    assert.is(new Set(all).size, 3, all.join());
    assert.ok(all.every((block) => block.endsWith('/26')));
    await one?.claim('prod', pool);
    const full = await two?.claim('prod', pool).catch((error: Error) => error.message);
    assert.match(String(full), /all blocks of 10\.0\.0\.0\/24 of the network prod belong to hosts/);
    const foreign = blocks(one)[0]?.replace(/\/.*/, '') ?? '';
    const refused = await two?.claim('prod', pool, foreign).catch((error: Error) => error.message);
    assert.match(String(refused), /is another host's to give; this host's are 10\.0\.0\./);

    // The daemon that comes back has what it had; one that stays away loses it, and knows.
    const [mine, lost] = [blocks(one), blocks(three)];
    await one?.close();
    again = start(etcd, 0, { store: kept[0] as Store, reclaim: '5s', shares: 4 });
    assert.equal(blocks(again), mine);
    await three?.close();
    await eventually('the addresses of a dead host come back', () => two?.claim('prod', pool).then(() => true));
    assert.equal(
      blocks(two).filter((block) => lost.includes(block)),
      lost,
    );
    assert.equal(blocks(again), mine, 'and those of a living one do not');
    const returned = start(etcd, 2, { store: kept[2] as Store, reclaim: '5s', shares: 4 });
    try {
      await eventually('it is told', () => blocks(returned).length === 0);
    } finally {
      await returned.close();
    }
    assert.match(said, /addresses of this host were given to another/);
    two?.blocks.release('prod', pool);
    again.blocks.release('prod', pool);
    await eventually('given back', async () => (await etcd.ctl('get', '--prefix', '/cleat/')) === '');
  } finally {
    await closeAll([...planes, again]);
    await etcd.close();
  }
});

test('certificates of clients, a user and a password; whoever lacks them hears why, and no secret is logged', async () => {
  const etcd = await startEtcd({ version: '3.5' });
  const planes: EtcdPlane[] = [];
  const passwordFile = join(etcd.dir, 'password');
  writeFileSync(passwordFile, 'a secret of nobody else\n', { mode: 0o600 });
  try {
    await etcd.ctl('user', 'add', 'root:root');
    await etcd.ctl('user', 'add', 'cleat:a secret of nobody else');
    await etcd.ctl('role', 'add', 'cleat');
    await etcd.ctl('role', 'grant-permission', 'cleat', 'readwrite', '--prefix=true', '/cleat/');
    await etcd.ctl('user', 'grant-role', 'cleat', 'cleat');
    await etcd.ctl('user', 'grant-role', 'root', 'root');
    await etcd.ctl('auth', 'enable');
    const good = start(etcd, 1, { config: { user: 'cleat', passwordFile } });
    planes.push(good);
    good.announce(network(1, 'a'));
    await eventually('let in', () => good.status().state === 'connected');
    const anonymous = start(etcd, 2);
    planes.push(anonymous);
    anonymous.announce(network(2, 'b'));
    await eventually('not without a user', () => /user name is empty|invalid auth/.test(anonymous.status().state));
    const elsewhere = start(etcd, 3, { config: { user: 'cleat', passwordFile, prefix: '/other/' } });
    planes.push(elsewhere);
    elsewhere.announce(network(3));
    await eventually('not outside the prefix', () => /permission denied/.test(elsewhere.status().state));
    await etcd.members[0]?.kill();
    await etcd.members[0]?.start();
    good.change('prod', { kind: 'put', endpoint: endpoint('c') });
    const withPassword = ['--user', 'root:root', 'get', '--prefix', '--keys-only', '/cleat/'];
    await eventually('a new token after a restart', async () => (await etcd.ctl(...withPassword)).includes('node-1/c'));
  } finally {
    await closeAll(planes.splice(0));
    await etcd.close();
  }
  assert.not.match(said, /secret of nobody/);

  const folder = await startEtcd();
  const certificates = await makeCertificates(folder.dir);
  const secure = await startEtcd({
    tls: certificates.server,
    ctlArgs: [`--cert=${certificates.client.cert}`, `--key=${certificates.client.key}`],
  });
  try {
    const good = start(secure, 1, { config: { ...certificates.client } });
    planes.push(good);
    await eventually('let in', () => good.status().state === 'connected');
    const stranger = start(secure, 2, { config: { ...certificates.stranger } });
    const nobody = start(secure, 3, { config: { ca: certificates.client.ca } });
    const misled = start(secure, 4, { config: { ...certificates.client, ca: certificates.stranger.cert } });
    planes.push(stranger, nobody, misled);
    for (const plane of [stranger, nobody, misled])
      await eventually('refused', () => /certificate|socket|TLS|SSL|ECONNRESET|closed/i.test(plane.status().state));
    assert.ok([stranger, nobody, misled].every((plane) => plane.status().sessions === 0));
  } finally {
    await closeAll(planes);
    await secure.close();
    await folder.close();
  }
});

test('a host is known by the address that it reaches the store by, and where the store is its own, by that', async () => {
  const host = await createHost();
  try {
    await host.sh('ip link add up0 type veth peer name down0; ip addr add 192.0.2.1/24 dev up0');
    await host.sh('ip link set up0 up; ip link set down0 up');
    using netns = openNetns(host.netns);
    using socket = new RouteSocket(netns);
    const find = (endpoint: string) => {
      const etcd = readEtcdConfig({ endpoints: [endpoint] });
      return findOwnUnderlay(socket, { peers: [], store: true }, { etcd }).address;
    };
    assert.is(find('http://192.0.2.9:2379'), '192.0.2.1');
    assert.is(find('http://192.0.2.1:2379'), '192.0.2.1');
    assert.throws(() => find('http://127.0.0.1:2379'), /is not known/);

    await host.sh('ip link add up1 type veth peer name down1; ip addr add 198.51.100.1/24 dev up1; ip link set up1 up');
    const etcd = readEtcdConfig({ endpoints: ['http://192.0.2.9:2379'] });
    const byName = (underlay: string, config = {}) =>
      findOwnUnderlay(socket, { peers: [], store: true, underlay }, { etcd, ...config }).address;
    assert.is(byName('up1'), '198.51.100.1');
    assert.is(byName('up1', { address: '192.0.2.1' }), '198.51.100.1', 'the network comes first');
    assert.is(findOwnUnderlay(socket, { peers: [], store: true }, { etcd, underlay: 'up1' }).address, '198.51.100.1');
    assert.throws(() => byName('eth9'), /no interface eth9/);
    assert.throws(() => byName('down1'), /down1 has no address/);
    const peers = ['192.0.2.1', '198.51.100.1'];
    assert.is(findOwnUnderlay(socket, { peers, store: false, underlay: 'up1' }, {}).position, 1);
    const down = () => findOwnUnderlay(socket, { peers, store: false, underlay: 'down1' }, {});
    assert.throws(down, /down1 has none of the peers/);
  } finally {
    await host.close();
  }
});

test.run();
