/**
 * cleat-overlay as a managed plugin on the two nodes of a swarm: networks made by its manager, tasks and containers of both
 * nodes on them, by address and by name. Each engine has the plugin from `cleat plugin` and `docker plugin create`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../plugins/linux/command.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';

requires('root', 'bridge', 'veth', 'vxlan', 'nftables', 'engine-28');

const bin = (name: string) => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
const peers = ['192.0.2.1', '192.0.2.2'] as const;
const driver = 'cleat-overlay:latest';
const parts: { close(): Promise<void> }[] = [];
let nodes: readonly [Engine, Engine];

interface Task {
  readonly node: Engine;
  readonly id: string;
  readonly name: string;
  readonly address: string;
}

test.after(async () => {
  for (const part of parts.reverse()) await part.close();
});

/** `made`: what `cleat plugin` has written. */
async function startNode(index: number, segment: Segment, made: string): Promise<Engine> {
  const host = await createHost({ name: `node${index}` });
  parts.push(host);
  await segment.attach(host, { addresses: [`${peers[index]}/24`] });
  const engine = await startEngine({ version: '28', host });
  // Before its host: an engine that stops in order takes its plugins' control groups along.
  parts.push(engine);
  const inside = (name: string) => join(host.dir, name);
  await runCommand('cp', ['-al', made, inside('plugin')], { timeoutMs: 30_000 });
  for (const folder of ['state', 'config']) mkdirSync(inside(folder));
  writeFileSync(inside('config/overlay.secret'), 'a secret of two hosts', { mode: 0o600 });
  await engine.docker('plugin', 'create', 'cleat-overlay', inside('plugin'));
  const folders = [`state.source=${inside('state')}`, `config.source=${inside('config')}`];
  const settings = [`PEERS=${peers.join()}`, 'SECRET_FILE=/etc/cleat/overlay.secret'];
  await engine.docker('plugin', 'set', 'cleat-overlay', ...folders, ...settings);
  await engine.docker('plugin', 'enable', 'cleat-overlay');
  return engine;
}

/** On the manager. */
function createNetwork(name: string, ...options: string[]): Promise<string> {
  const [manager] = nodes;
  return manager.docker('network', 'create', '-d', driver, '--scope', 'swarm', '--attachable', ...options, name);
}

/** Without looking for a registry. */
function createService(name: string, ...more: string[]): Promise<string> {
  const [manager] = nodes;
  return manager.docker(
    'service',
    'create',
    '-d',
    '--no-resolve-image',
    '--stop-signal',
    'KILL',
    '--name',
    name,
    ...more,
  );
}

/** The running tasks of a service, on all nodes. */
async function tasksOf(service: string): Promise<Task[]> {
  const found = nodes.map(async (node) => {
    const ids = await node.docker('ps', '-q', '--filter', `label=com.docker.swarm.service.name=${service}`);
    const format = '{{.Name}} {{.NetworkSettings.Networks.net.IPAddress}}';
    const described = ids
      .split('\n')
      .filter(Boolean)
      .map(async (id) => {
        const [name = '', address = ''] = (await node.docker('inspect', '-f', format, id)).slice(1).split(' ');
        return { node, id, name, address };
      });
    return await Promise.all(described);
  });
  return (await Promise.all(found)).flat();
}

const addressesIn = (answer: string) => [...answer.matchAll(/10\.91\.0\.\d+/g)].map(([address]) => address).sort();
const serve = 'mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www';

test('the plugin is known on both nodes, and a manager makes a network of it', async () => {
  const segment = await createSegment({ mtu: 1450 });
  parts.push(segment);
  const made = join(segment.host.dir, 'plugin');
  assert.match(await segment.host.sh(`${bin('cleat')} plugin ${made}`), /docker plugin create cleat-overlay/);
  nodes = await Promise.all([startNode(0, segment, made), startNode(1, segment, made)]);
  const [manager, worker] = nodes;
  const daemon = worker.host.run(bin('cleat-networkd'), []);
  assert.match(
    await daemon.then(String, (error: Error) => error.message),
    /already running/,
    'it is in place of the daemon',
  );
  await manager.docker('swarm', 'init', '--advertise-addr', peers[0], '--listen-addr', peers[0]);
  const token = await manager.docker('swarm', 'join-token', '-q', 'worker');
  await worker.docker('swarm', 'join', '--token', token, '--advertise-addr', peers[1], peers[0]);
  await createNetwork('net', '--subnet', '10.91.0.0/24', '-o', 'com.docker.network.driver.mtu=1380');
  const allocated = await eventually('it is allocated', async () => {
    const text = await manager.docker('network', 'inspect', '-f', '{{json .Options}}', 'net');
    return JSON.parse(text) as Record<string, string> | null;
  });
  assert.is(allocated['com.docker.network.driver.mtu'], '1380', 'the user has the last word');
  assert.is(allocated['cleat.network'], await manager.docker('network', 'inspect', '-f', '{{.Id}}', 'net'));
});

test('what cannot be had is refused: by the manager in its log, by a node in the word about the task', async () => {
  const [manager] = nodes;
  await createNetwork('odd', '-o', 'nonsense=1');
  await eventually('the reason', () => /Failed allocation for network .* has no option .*nonsense/.test(manager.log()));
  assert.is(await manager.docker('network', 'inspect', '-f', '{{.Driver}}', 'odd'), '', 'it has no driver then');
  await createNetwork('six', '--ipv6', '--subnet', '10.92.0.0/24');
  await createService('v6', '--network', 'six', '--restart-condition', 'none', 'busybox', 'sleep', '100');
  const error = () => manager.docker('service', 'ps', '--no-trunc', '--format', '{{.Error}}', 'v6');
  await eventually('the reason', async () => /a swarm allocates no IPv6/.test(await error()));
  await manager.docker('service', 'rm', 'v6');
  await eventually('nobody uses them', () => manager.docker('network', 'rm', 'odd', 'six'));
});

test('tasks on both nodes reach each other by address, by the name of their service, and by their own', async () => {
  const [manager, worker] = nodes;
  await createService(
    ...(['web', '--network', 'net', '--replicas', '2', '--replicas-max-per-node', '1'] as const),
    ...['--publish', 'mode=host,target=80,published=8080', 'busybox', 'sh', '-c', serve],
  );
  await eventually('a task runs on each node', async () => (await tasksOf('web')).length === 2, { timeoutMs: 60_000 });
  const tasks = await tasksOf('web');
  const [first, second] = tasks;
  if (!first || !second) throw new Error('no tasks');
  assert.is.not(first.node, second.node);
  const all = tasks.map(({ address }) => address).sort();
  for (const [from, to] of [
    [first, second],
    [second, first],
  ] as const) {
    const run = (...command: string[]) => from.node.docker('exec', from.id, ...command);
    await eventually('by address', () => run('ping', '-c1', '-W1', to.address));
    assert.is(await run('cat', '/sys/class/net/eth0/mtu'), '1380');
    for (const name of ['web', 'tasks.web'])
      await eventually(`${name} is both`, async () => addressesIn(await run('nslookup', name)).join() === all.join());
    assert.is(await run('timeout', '5', 'wget', '-q', '-O', '-', `http://${to.name}/`), to.id);
  }
  const page = () => manager.host.sh(`curl -sS --max-time 3 http://${peers[1]}:8080/`);
  assert.is(
    await eventually('a published port of the other node', page),
    tasks.find(({ node }) => node === worker)?.id,
  );
});

test('a container of its own is attached on the worker, and finds the service', async () => {
  const [, worker] = nodes;
  const all = (await tasksOf('web')).map(({ address }) => address).sort();
  const script = `${all.map((address) => `ping -c1 -W2 -q ${address} >&2`).join(' && ')} && nslookup web`;
  assert.equal(addressesIn(await worker.docker('run', '--rm', '--network', 'net', 'busybox', 'sh', '-c', script)), all);
});

test('the plugin goes and comes back, and the traffic goes on', async () => {
  const [first, second] = await tasksOf('web');
  if (!first || !second) throw new Error('no tasks');
  const ping = (from: Task, to: Task) => from.node.docker('exec', from.id, 'ping', '-c1', '-W2', to.address);
  await first.node.docker('plugin', 'disable', '-f', 'cleat-overlay');
  await ping(first, second);
  await ping(second, first);
  await first.node.docker('plugin', 'enable', 'cleat-overlay');
  await ping(first, second);
  const named = () => first.node.docker('exec', first.id, 'nslookup', second.name);
  await eventually('names are back', async () => (await named()).includes(second.address));
});

test('nothing is left behind', async () => {
  const [manager] = nodes;
  await manager.docker('service', 'rm', 'web');
  await eventually('the tasks are gone', async () => (await tasksOf('web')).length === 0);
  await manager.docker('network', 'rm', 'net');
  const left = () =>
    Promise.all(
      nodes.map(({ host }) => host.sh("{ ip -o link; nft list tables; } | grep -oE ' (cx|cl-|cv|cleat)[^:]*' || true")),
    );
  await eventually('nothing is left', async () => (await left()).join('') === '');
  for (const { docker, host } of nodes) {
    // Not by force: nothing holds it.
    await eventually('nobody uses the plugin', () => docker('plugin', 'disable', 'cleat-overlay'));
    await docker('plugin', 'rm', 'cleat-overlay');
    assert.is(await host.sh('ls /run/cleat'), '');
  }
});

test.run();
