/** nftables by library and by raw netlink, read back by nft(8); and iptables of both back ends. */
import { readlinkSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  concat,
  createAnonymousNetns,
  ensureIptablesRule,
  inspectIptables,
  ipBytes,
  KernelError,
  listIptablesRules,
  monitorTable,
  type Netns,
  Nftables,
  type NftChange,
  type NftElement,
  NftElements,
  NftError,
  nftablesProblem,
  portKey,
  protocolKey,
  removeIptablesRule,
  restoreIptables,
  runCommand,
  type TableTransaction,
} from '../../plugins/linux/index.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';

requires('root', 'nftables', 'program:iptables');

interface Context {
  netns: Netns;
  nft: Nftables;
}

const test = suite<Context>('packet filter');

const table = `
table inet cleat {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ranges { type ipv4_addr . inet_proto . inet_service : ipv4_addr; flags interval; }
  chain dstnat { type nat hook prerouting priority dstnat; policy accept; dnat ip to meta l4proto . th dport map @ports; }
}`;
const ports = { family: 'inet', table: 'cleat', name: 'ports' } as const;
const ranges = { family: 'inet', table: 'cleat', name: 'ranges' } as const;

test.before.each((context) => {
  context.netns = createAnonymousNetns();
  context.nft = new Nftables(context.netns);
  context.nft.run(table);
});

test.after.each(({ nft, netns }) => {
  nft.close();
  netns.close();
});

function port(number: number, address = '10.0.0.2'): NftElement {
  return { key: concat(protocolKey(6), portKey(number)), data: concat(ipBytes(address), portKey(number)) };
}

async function shown(netns: Netns, ...args: string[]): Promise<string> {
  return (await runCommand('nft', ['-nn', ...args], { timeoutMs: 10_000, netns })).stdout;
}

function errorOf(fn: () => unknown): NftError | KernelError {
  try {
    fn();
  } catch (error) {
    if (error instanceof NftError || error instanceof KernelError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

test('runs a text as one transaction, and lists it as JSON and text', async ({ netns, nft }) => {
  assert.is(nftablesProblem(), undefined);
  const json = nft.list('list table inet cleat');
  assert.equal(
    json.map((object) => Object.keys(object)[0]),
    ['table', 'map', 'map', 'chain', 'rule'],
  );
  assert.is(
    nft.listText('list table inet cleat'),
    (await runCommand('nft', ['list', 'table', 'inet', 'cleat'], { timeoutMs: 5000, netns })).stdout,
  );
  const failed = errorOf(() => nft.run('add chain inet cleat good\nadd rule inet cleat nothere accept'));
  assert.is(failed.code, 'ENOENT');
  assert.not((await shown(netns, 'list', 'table', 'inet', 'cleat')).includes('good'));
  nft.run('delete table inet cleat');
  assert.is(errorOf(() => nft.run('delete table inet cleat')).code, 'ENOENT');
  assert.equal(nft.list('list ruleset'), []);
});

test('errors say where in the text', ({ nft }) => {
  const error = errorOf(() => nft.run('add chain inet cleat c\nadd rule inet cleat nothere accept')) as NftError;
  assert.equal(
    [error.line, error.firstColumn, error.lastColumn, error.text],
    [2, 21, 27, 'add rule inet cleat nothere accept'],
  );
  assert.match(error.message, /^nft:2:21-27: .*No such file or directory.*: add rule inet cleat nothere accept$/);
  const syntax = errorOf(() => nft.run('add rule inet cleat dstnat accept accept accept ,'));
  assert.is(syntax.code, 'EINVAL');
  assert.is(errorOf(() => nft.run('create table inet cleat')).code, 'EEXIST');
});

test('a dry run changes nothing and finds mistakes', async ({ netns, nft }) => {
  const before = await shown(netns, 'list', 'ruleset');
  nft.dryRun('add table inet other');
  assert.throws(() => nft.dryRun('add rulle'), /syntax error/);
  assert.is(await shown(netns, 'list', 'ruleset'), before);
  nft.run('add table inet other');
});

test('elements: add, again, other data, delete, again; ranges as one element', async ({ netns }) => {
  using elements = new NftElements(netns);
  elements.apply({ change: 'add', set: ports, elements: [port(80), port(443)] });
  elements.apply({ change: 'add', set: ports, elements: [port(80)] });
  assert.is(
    errorOf(() => elements.apply({ change: 'add', set: ports, exclusive: true, elements: [port(80)] })).code,
    'EEXIST',
  );
  assert.is(
    errorOf(() => elements.apply({ change: 'add', set: ports, elements: [port(80, '10.0.0.3')] })).code,
    'EEXIST',
  );
  const range = {
    key: concat(ipBytes('192.0.2.1'), protocolKey(17), portKey(1000)),
    keyEnd: concat(ipBytes('192.0.2.1'), protocolKey(17), portKey(1999)),
    data: ipBytes('10.0.0.9'),
  };
  elements.apply({ change: 'add', set: ranges, elements: [range] });
  const text = await shown(netns, 'list', 'table', 'inet', 'cleat');
  assert.match(text, /6 \. 80 : 10\.0\.0\.2 \. 80/);
  assert.match(text, /192\.0\.2\.1 \. 17 \. 1000-1999 : 10\.0\.0\.9/);
  assert.equal(elements.list(ranges), [range]);
  assert.is(elements.list(ports).length, 2);
  elements.apply(
    { change: 'delete', set: ports, elements: [port(80), port(443)] },
    { change: 'delete', set: ranges, elements: [range] },
  );
  assert.equal([...elements.list(ports), ...elements.list(ranges)], []);
  assert.is(
    errorOf(() => elements.apply({ change: 'delete', set: ports, elements: [port(80)] })).message,
    'ENOENT from NFT_MSG_DELSETELEM inet cleat ports',
  );
  assert.is(errorOf(() => elements.list({ ...ports, name: 'none' })).code, 'ENOENT');
});

test('a transaction of elements is all or nothing, at ten thousand too', async ({ netns }) => {
  using elements = new NftElements(netns);
  const many = Array.from({ length: 10_000 }, (_, index) => port(index + 1));
  const bad: NftChange = {
    change: 'delete',
    set: ranges,
    elements: [{ key: Buffer.alloc(12), keyEnd: Buffer.alloc(12) }],
  };
  assert.is(errorOf(() => elements.apply({ change: 'add', set: ports, elements: many }, bad)).code, 'ENOENT');
  assert.equal(elements.list(ports), []);
  elements.apply({ change: 'add', set: ports, elements: many });
  assert.is(elements.list(ports).length, 10_000);
  const [object] = JSON.parse(await shown(netns, '-j', 'list', 'map', 'inet', 'cleat', 'ports')).nftables.slice(1) as [
    { map: { elem: unknown[] } },
  ];
  assert.is(object.map.elem.length, 10_000);
  elements.apply({ change: 'delete', set: ports, elements: many });
  assert.equal(elements.list(ports), []);
});

test('the monitor tells who changed the table', async ({ netns, nft }) => {
  const seen: TableTransaction[] = [];
  using _monitor = monitorTable({
    netns,
    table: 'cleat',
    onTransaction: (transaction) => seen.push(transaction),
    onLost: () => assert.unreachable(),
  });
  nft.run('add chain inet cleat mine; add table inet stranger; add chain inet stranger c');
  await eventually('our change', () => seen.length === 1);
  // The kernel names processes as the machine numbers them; in a process namespace (a CI container) we have another number.
  // PROC_PID_INIT_INO of <linux/proc_ns.h> is the machine's own.
  const sameNumbers = readlinkSync('/proc/self/ns/pid') === `pid:[${0xeffffffc}]`;
  assert.equal([seen[0]?.own, [...(seen[0]?.events ?? [])]], [sameNumbers, ['new chain']]);
  await runCommand('nft', ['add chain inet stranger d; flush table inet cleat'], { timeoutMs: 5000, netns });
  await runCommand('nft', ['flush', 'ruleset'], { timeoutMs: 5000, netns });
  await eventually('their changes', () => seen.length === 3);
  assert.equal([seen[1]?.own, seen[1]?.process, [...(seen[1]?.events ?? [])]], [false, 'nft', ['deleted rule']]);
  assert.ok(seen[2]?.events.has('deleted table'));
});

for (const backend of ['nft', 'legacy'] as const) {
  for (const family of [4, 6] as const) {
    test(`iptables over ${backend}, IPv${family}: found, rule ensured and removed twice`, async ({ netns }) => {
      assert.equal((await inspectIptables(family, netns)).backend, undefined);
      const name = `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`;
      const host = (...args: string[]) => runCommand(name, ['-w', '5', ...args], { timeoutMs: 10_000, netns });
      await host('-N', 'DOCKER-USER');
      await host('-P', 'FORWARD', 'DROP');
      const view = await inspectIptables(family, netns);
      assert.equal([view.backend, view.hasDockerUser, view.forwardPolicy], [backend, true, 'drop']);
      const target = { command: view.command ?? '', netns };
      const rule = {
        chain: 'DOCKER-USER',
        match: ['-i', 'cl-+', '-m', 'comment', '--comment', 'cleat', '-j', 'ACCEPT'],
      };
      assert.is(await ensureIptablesRule(target, rule), true);
      assert.is(await ensureIptablesRule(target, rule), false);
      const { stdout } = await host('-S', 'DOCKER-USER');
      assert.is(stdout, '-N DOCKER-USER\n-A DOCKER-USER -i cl-+ -m comment --comment cleat -j ACCEPT\n');
      await restoreIptables(target, '*filter\n-A DOCKER-USER -j RETURN\nCOMMIT\n');
      assert.equal((await listIptablesRules(target, 'filter', 'DOCKER-USER')).length, 3);
      assert.is(await removeIptablesRule(target, rule), 1);
      assert.is(await removeIptablesRule(target, rule), 0);
      assert.is(await removeIptablesRule(target, { ...rule, chain: 'GONE' }), 0);
      assert.equal(await listIptablesRules(target, 'filter', 'DOCKER-USER'), [
        '-N DOCKER-USER',
        '-A DOCKER-USER -j RETURN',
      ]);
    });
  }
}

test.run();
