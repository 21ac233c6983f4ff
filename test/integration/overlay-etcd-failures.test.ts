/**
 * What a network over three hosts does when things fail, with etcd as the store: three members, each in a place of its own.
 *
 *     a 192.0.2.1 ──┐            ┌── e1 192.0.2.11
 *     b 192.0.2.2 ──┼── segment ─┼── e2 192.0.2.12
 *     c 192.0.2.3 ──┘            └── e3 192.0.2.13
 *
 * From a to b a ping runs all the time: whatever fails, traffic between hosts that live is not to notice. Containers are bare
 * namespaces, or records only.
 */
import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callControl } from '../../plugins/cli/control.ts';
import type { CommandError } from '../../plugins/linux/command.ts';
import { vxlanName } from '../../plugins/network/link/names.ts';
import type { StoreStatus } from '../../plugins/network/overlay/control-plane.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Etcd, type EtcdVersion, startEtcd } from '../support/etcd.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';
import { join as attach, createNetwork, type Machine, plug, randomId, stream } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:etcd', 'program:etcdctl', 'engine-28');

const [libfaketime = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
if (libfaketime === '') throw new Error('libfaketime is not installed');
const pool = '10.9.0.0/24';
const cx = vxlanName(vniOf('matrix'));

interface Stage {
  readonly segment: Segment;
  readonly etcd: Etcd;
  readonly machines: readonly [Machine, Machine, Machine];
  /** Switch ports of the three hosts. */
  readonly ports: readonly string[];
  close(): Promise<void>;
}

async function setStage(version: EtcdVersion, members: number, overlay: object): Promise<Stage> {
  const parts: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of parts.reverse()) await part.close();
  };
  try {
    const segment = await createSegment();
    parts.push(segment);
    const hosts: { readonly host: Host; readonly address: string }[] = [];
    for (let index = 0; index < members; index++) {
      const host = await createHost({ name: `e${index + 1}` });
      parts.push(host);
      const address = `192.0.2.${11 + index}`;
      await segment.attach(host, { addresses: [`${address}/24`] });
      hosts.push({ host, address });
    }
    const etcd = await startEtcd({ version, hosts });
    parts.push(etcd);
    const machines: Machine[] = [];
    const ports: string[] = [];
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const host = await createHost({ name });
      parts.push(host);
      ports.push(await segment.attach(host, { addresses: [`192.0.2.${index + 1}/24`] }));
      const config = { overlay: { etcd: { endpoints: etcd.endpoints }, ...overlay } };
      const daemon = await startDaemon('networkd', host, { config, ...(name === 'c' && { env: ownClock(host) }) });
      const client = new PluginClient({ url: `unix://${daemon.socket('cleat-overlay')}` });
      machines.push({ host, daemon, client, networkId: randomId() });
    }
    for (const machine of machines) await createNetwork(machine, { options: { 'cleat.network': 'matrix' }, pool });
    return { segment, etcd, machines: machines as unknown as Stage['machines'], ports, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The wall clock of a daemon alone: set by `setClock`, in libfaketime's words (`+1y`). */
function ownClock(host: Host): Record<string, string> {
  setClock(host, '+0');
  return {
    LD_PRELOAD: libfaketime,
    FAKETIME_TIMESTAMP_FILE: join(host.dir, 'clock'),
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}

function setClock(host: Host, offset: string): void {
  writeFileSync(join(host.dir, 'clock'), offset);
}

/** What the kernel of a host knows of the others: address and host of each container that is known wholly, nothing else allowed. */
async function known({ host }: Machine): Promise<string> {
  const fdb = await host.sh(`bridge fdb show dev ${cx} 2>/dev/null || true`);
  const neighbours = await host.sh('ip -4 neigh show nud permanent');
  const tunnels = new Map([...fdb.matchAll(/^(\S+) dst (\S+)/gm)].map(([, mac, to]) => [mac ?? '', to ?? '']));
  const ports = new Set([...fdb.matchAll(/^(\S+) (?:vlan 1 )?master cl-\S+/gm)].map(([, mac]) => mac ?? ''));
  const rows = [...neighbours.matchAll(/^(\S+) dev cl-\S+ lladdr (\S+)/gm)].map(([, address, mac = '']) => {
    const to = tunnels.get(mac);
    tunnels.delete(mac);
    return to !== undefined && ports.has(mac) ? `${address}@${to.slice(-1)}` : `${address}@nowhere`;
  });
  const all = [...fdb.matchAll(/^00:00:00:00:00:00 dst (\S+)/gm)].map(([, to]) => `*@${to?.slice(-1)}`);
  tunnels.delete('00:00:00:00:00:00');
  const stale = [...tunnels].map(([mac, to]) => `stale ${mac} ${to}`);
  return [...rows.sort(), ...all.sort(), ...stale].join(' ');
}

/** Says how long it took, for whoever reads. */
async function knows(machine: Machine, what: string, why: string): Promise<void> {
  const began = performance.now();
  let last = '';
  await eventually(
    `${machine.host.name} knows ${what} (${why})`,
    async () => {
      last = await known(machine);
      return last === what;
    },
    { everyMs: 20, timeoutMs: 30_000 },
  ).catch((error: Error) => {
    throw new Error(`${error.message}; it knows ${last}`);
  });
  process.stdout.write(`# ${why}: ${machine.host.name} after ${Math.round(performance.now() - began)} ms\n`);
}

async function leave({ client, networkId }: Machine, endpointId: string): Promise<void> {
  await client.network.leave({ networkId, endpointId });
  await client.network.deleteEndpoint({ networkId, endpointId });
}

async function store({ host, daemon }: Machine): Promise<string> {
  const [row] = await callControl<StoreStatus[]>(host.path(daemon.runDir), 'networkd', 'GET', '/overlay/store');
  return row?.state ?? 'none';
}

for (const [version, members] of [
  ['3.5', 3],
  ['3.4', 1],
] as const) {
  test(`etcd ${version}, ${members} members: what fails comes back, and nobody alive notices`, async () => {
    const stage = await setStage(version, members, { lease: '3s' });
    const { etcd, machines, ports, segment } = stage;
    const [a, b, c] = machines;
    try {
      await plug(a, await attach(a, '10.9.0.20/24'), '10.9.0.20/24');
      await plug(b, await attach(b, '10.9.0.40/24'), '10.9.0.40/24');
      const onC = await attach(c, '10.9.0.60/24');
      await plug(c, onC, '10.9.0.60/24');
      const first = '10.9.0.40@2 10.9.0.60@3 *@2 *@3';
      await knows(a, first, 'start');
      await knows(c, '10.9.0.20@1 10.9.0.40@2 *@1 *@2', 'start');
      const foreign = await attach(a, '10.9.0.41/24').catch((error: Error) => error.message);
      assert.match(foreign, /NET_OVERLAY_SHARE/, 'a block of another host');
      await eventually('traffic', () => a.host.sh('ip netns exec box ping -c1 -W1 10.9.0.40'));
      const pings = stream(a, '10.9.0.40', 0.1);
      const snapshot = `${etcd.dir}/snapshot`;
      await etcd.save(snapshot);

      // A member dies, whichever.
      for (const member of members > 1 ? etcd.members.slice(0, 2) : []) {
        await member.kill();
        const extra = await attach(b, '10.9.0.45/24');
        await knows(a, `10.9.0.40@2 10.9.0.45@2 10.9.0.60@3 *@2 *@3`, 'a member is dead');
        await member.start();
        await leave(b, extra);
        await knows(a, first, 'a member is dead');
      }

      // The majority: what is there goes on, and containers start and end; the others hear of it afterwards.
      const lost = members > 1 ? etcd.members.slice(1) : etcd.members;
      await Promise.all(lost.map((member) => member.kill()));
      const meanwhile = await attach(b, '10.9.0.46/24');
      await eventually('the loss is seen', async () => (await store(a)) !== 'connected');
      const blind = await a.daemon.cleat('overlay', 'peers').catch((error: CommandError) => error);
      assert.ok(blind instanceof Error && blind.exitCode === 1 && /without the store/.test(blind.stderr));
      const refused = createNetwork(
        { ...a, networkId: 'f'.repeat(64) },
        { options: { 'cleat.network': 'other' }, pool: '10.8.0.0/24' },
      ).catch((error: Error) => error.message);
      assert.match(String(await refused), /NET_OVERLAY_STORE/);
      assert.is(await known(a), first, 'what was known stays');
      await Promise.all(lost.map((member) => member.start()));
      await eventually('the store is back', async () => (await store(a)) === 'connected', { everyMs: 20 });
      await knows(a, '10.9.0.40@2 10.9.0.46@2 10.9.0.60@3 *@2 *@3', 'the majority is back');
      await leave(b, meanwhile);
      await knows(a, first, 'the majority is back');

      // A host is cut off from everybody for longer than its lease, and history goes meanwhile.
      const before = await known(c);
      await segment.host.sh(`ip link set ${ports[2]} down`);
      await knows(a, '10.9.0.40@2 *@2', 'a host is cut off');
      const unheard = await attach(a, '10.9.0.21/24');
      const status = JSON.parse(await etcd.ctl('endpoint', 'status', '-w', 'json'));
      await etcd.ctl('compact', String(status[0].Status.header.revision));
      assert.is(await known(c), before, 'it keeps what it knew');
      await segment.host.sh(`ip link set ${ports[2]} up`);
      await knows(a, first, 'it is back');
      await knows(c, '10.9.0.20@1 10.9.0.21@1 10.9.0.40@2 *@1 *@2', 'it is back');
      await leave(a, unheard);

      // Only the way to the store is gone.
      const members4 = Array.from({ length: members }, (_, index) => `192.0.2.${11 + index}`);
      await c.host.sh(members4.map((address) => `ip route add blackhole ${address}`).join('; '));
      await knows(a, '10.9.0.40@2 *@2', 'a host cannot reach the store');
      await c.host.sh(members4.map((address) => `ip route del blackhole ${address}`).join('; '));
      await knows(a, first, 'it can again');
      await knows(c, '10.9.0.20@1 10.9.0.40@2 *@1 *@2', 'it can again');

      // A backup of the beginning is put back: it knows nothing of what came since, and of what is gone.
      const since = await attach(c, '10.9.0.61/24');
      await leave(c, onC);
      const now = '10.9.0.40@2 10.9.0.61@3 *@2 *@3';
      await knows(a, now, 'a change');
      await etcd.restore(snapshot);
      await eventually('the store is back', async () => (await store(a)) === 'connected', { everyMs: 20 });
      await knows(a, now, 'an older backup');
      await delay(1500);
      await knows(b, '10.9.0.20@1 10.9.0.61@3 *@1 *@3', 'an older backup');
      await leave(c, since);

      // Clocks jump; leases and deadlines do not look at them.
      for (const [index, offset] of ['+400d', '-400d', '+0'].entries()) {
        setClock(c.host, offset);
        const extra = await attach(c, `10.9.0.${62 + index}/24`);
        await knows(a, `10.9.0.40@2 10.9.0.${62 + index}@3 *@2 *@3`, `clock ${offset}`);
        await leave(c, extra);
        await delay(1200);
      }
      await knows(a, '10.9.0.40@2 *@2 *@3', 'clocks');

      // A daemon is away for longer than its lease: a dead host, until it is back.
      await c.daemon.kill();
      await knows(a, '10.9.0.40@2 *@2', 'a daemon is dead');
      await c.daemon.start();
      await knows(a, '10.9.0.40@2 *@2 *@3', 'it is back');

      // And the whole host.
      await c.host.close();
      await knows(a, '10.9.0.40@2 *@2', 'a host is dead');
      assert.equal(await pings.lost(), []);
    } finally {
      await stage.close();
    }
  });
}

test('a daemon is killed at any moment: traffic never stops, and all know the same in the end', async () => {
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
  const stage = await setStage('3.4', 1, { lease: '30s' });
  const [a, b] = stage.machines;
  try {
    await plug(a, await attach(a, '10.9.0.20/24'), '10.9.0.20/24');
    await plug(b, await attach(b, '10.9.0.40/24'), '10.9.0.40/24');
    await knows(a, '10.9.0.40@2 *@2 *@3', 'start');
    await eventually('traffic', () => a.host.sh('ip netns exec box ping -c1 -W1 10.9.0.40'));
    const pings = stream(a, '10.9.0.40', 0.1);
    const all: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const [dying, living] = round % 2 === 0 ? [a, b] : [b, a];
      const offset = 64 + (round % 6) * 16 + (round % 2) * 96;
      const address = `10.9.0.${Math.min(250, offset + 2)}`;
      // An engine repeats a call that died with the daemon.
      const call = attach(dying, `${address}/24`).catch(() => undefined);
      await delay(Math.random() * 60);
      await dying.daemon.kill();
      await dying.daemon.start();
      const id = await call;
      const mine = await told(dying);
      await knows(living, mine, `round ${round}`);
      await knows(dying, await told(living), `round ${round}`);
      all.push(...mine.split(' '));
      if (id !== undefined) await leave(dying, id);
      for (const left of await leftovers(dying)) await leave(dying, left);
    }
    assert.equal(await pings.lost(), []);
    assert.ok(all.length > 0);
  } finally {
    await stage.close();
  }
});

interface EndpointRow {
  readonly endpointId: string;
  readonly state: string;
  readonly addresses: readonly string[];
}

function endpoints({ host, daemon }: Machine): Promise<readonly EndpointRow[]> {
  return callControl<EndpointRow[]>(host.path(daemon.runDir), 'networkd', 'GET', '/endpoints');
}

/** What another host should know, of this host's and the third one's. */
async function told(machine: Machine): Promise<string> {
  const joined = (await endpoints(machine)).filter(({ state }) => state === 'joined');
  const number = machine.host.name.startsWith('a') ? 1 : 2;
  return [
    ...joined.flatMap(({ addresses }) => addresses.map((one) => `${one}@${number}`)).sort(),
    `*@${number}`,
    '*@3',
  ].join(' ');
}

/** Endpoints beside the first: of a call that died before its answer. */
async function leftovers(machine: Machine): Promise<string[]> {
  const rows = await endpoints(machine);
  return rows.filter(({ addresses }) => !/\.(20|40)$/.test(addresses[0] ?? '')).map(({ endpointId }) => endpointId);
}

test.run();
