/** After kill -9, a reboot, or an engine that forgot: records, kernel and rules agree, and running containers noticed nothing. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callControl } from '../../plugins/cli/control.ts';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { eventually } from '../support/deadline.ts';
import type { HostProcess } from '../support/process.ts';
import { requires } from '../support/requires.ts';
import { ask, bindings, type Container, createLab, type Lab, networkRequest, newId, serve } from './bridge-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:strace');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 8);
let lab: Lab;

test.before(async () => {
  lab = await createLab();
});
test.after(() => lab?.close());

const table = () => lab.host.sh('nft list table inet cleat 2>/dev/null || true');
const links = () =>
  lab.host.sh(
    "ip -o link | awk -F': ' '{ print $2 }' | grep -E '^(cl-|cv[0-9a-z]{10}|mybr)' | sed 's/@.*//' | sort || true",
  );
const control = <T>(path: string) => callControl<T>(lab.host.path('/run/cleat'), 'networkd', 'GET', path);

test('kill -9 and start: same links, same table, traffic all along, ports still held', async () => {
  const net = await lab.network({
    pools: ['192.0.2.0/24', '2001:db8:1::/64'],
    options: { 'com.docker.network.bridge.name': 'mybr' },
  });
  const web = await lab.container(net, {
    address: '192.0.2.2/24',
    address6: '2001:db8:1::2/64',
    ports: ['8080:80', '0:81', '9000-9009:9000-9009'],
  });
  await serve(web, lab.host, 'web');
  // One connection that lives through it all, and a new one every moment.
  await web.sh('true');
  lab.host.start('nsenter', [`--net=${web.netns}`, 'socat', 'TCP6-LISTEN:9000,reuseaddr,ipv6only=0', 'EXEC:cat']);
  await web.sh('for i in $(seq 100); do ss -Hltn | grep -q ":9000 " && exit 0; sleep 0.05; done');
  const stream = lab.outside.start('bash', [
    '-c',
    'exec 3<>/dev/tcp/198.51.100.1/9000; for i in $(seq 40); do echo $i >&3; read -t 2 -u 3 line || exit 1; echo "got $line"; sleep 0.05; done; echo complete',
  ]);
  await eventually('the long connection', () => stream.output().includes('got 1'));
  const before = { table: await table(), links: await links(), ports: await control('/ports') };
  await lab.daemon.kill();
  assert.match(await ask(lab.outside, '198.51.100.1', 8080), /^web /, 'while the daemon is down');
  await lab.daemon.start();
  assert.is(await table(), before.table);
  assert.is(await links(), before.links);
  assert.equal(await control('/ports'), before.ports);
  for (const address of ['198.51.100.1', '127.0.0.1', '::1'])
    assert.match(await ask(lab.host, address, 8080), /^web /, address);
  assert.match(await lab.host.sh('socat -u TCP4-LISTEN:8080,reuseaddr - 2>&1 || true'), /Address already in use/);
  await eventually('the long connection to its end', () => stream.output().includes('complete'));
  await web.remove();
  await lab.client.network.deleteNetwork({ networkId: net });
  assert.is(await links(), '');
});

test('after a reboot: bridges are built again, endpoints of the old life are dropped', async () => {
  const net = await lab.network({ pools: ['192.0.2.0/24', '2001:db8:1::/64'] });
  const web = await lab.container(net, { address: '192.0.2.2/24', ports: ['8080:80'] });
  const before = await lab.host.sh(`ip -br addr show cl-${net.slice(0, 12)} | awk '{ print $1, $3, $4 }'`);
  await lab.daemon.kill();
  await lab.host.sh(
    `ip netns del ${web.netns.split('/').at(-1)}; nft flush ruleset; ip link del cl-${net.slice(0, 12)}; sysctl -qw net.ipv4.ip_forward=0`,
  );
  await eventually('no link of ours', async () => (await links()) === '');
  await lab.daemon.start();
  assert.is(await lab.host.sh(`ip -br addr show cl-${net.slice(0, 12)} | awk '{ print $1, $3, $4 }'`), before);
  assert.equal(await control('/endpoints'), []);
  assert.equal(await control('/ports'), []);
  assert.is(await lab.host.sh('sysctl -n net.ipv4.ip_forward'), '1');
  const again = await lab.container(net, { address: '192.0.2.2/24', ports: ['8080:80'] });
  await serve(again, lab.host, 'again');
  assert.match(await ask(lab.outside, '198.51.100.1', 8080), /^again /);
  await again.remove();
  await lab.client.network.deleteNetwork({ networkId: net });
});

test('an engine that lost its state: endpoints whose sandbox is gone are dropped, their ports are free', async () => {
  const net = await lab.network({ pools: ['192.0.2.0/24'] });
  const web = await lab.container(net, { address: '192.0.2.2/24', ports: ['8080:80'] });
  await lab.host.sh(`ip netns del ${web.netns.split('/').at(-1)}`);
  await eventually('the endpoint dropped', async () => (await control<unknown[]>('/endpoints')).length === 0);
  const next = await lab.container(net, { address: '192.0.2.3/24', ports: ['8080:80'] });
  await next.remove();
  await lab.client.network.deleteNetwork({ networkId: net });
});

test('a bridge that somebody deletes is built again with its ports', async () => {
  const net = await lab.network({ pools: ['192.0.2.0/24'] });
  const web = await lab.container(net, { address: '192.0.2.2/24', ports: ['8080:80'] });
  await serve(web, lab.host, 'web');
  await lab.host.sh(`ip link del cl-${net.slice(0, 12)}`);
  await eventually('traffic again', async () => (await ask(lab.outside, '198.51.100.1', 8080)).startsWith('web '));
  await web.remove();
  await lab.client.network.deleteNetwork({ networkId: net });
});

test('links of ours that no record knows go at start; those of others stay', async () => {
  await lab.daemon.kill();
  await lab.host.sh(`
ip link add cl-0123456789ab type bridge; ip link add cv0123456789 type veth peer name cv0123456789c
ip link add foo type bridge; ip link set foo alias "cleat network ${'0'.repeat(64)}"; ip link add br-other type bridge; ip link add cvx type bridge`);
  await lab.daemon.start();
  assert.is(
    await lab.host.sh("ip -o link show type bridge | awk -F': ' '{ print $2 }' | sort | xargs"),
    'br-other cvx',
  );
  assert.is(await lab.host.sh('ip -o link show type veth | grep -c cv0 || true'), '0');
  await lab.host.sh('ip link del br-other; ip link del cvx');
});

test('purge: what a container uses stays, everything else goes', async () => {
  const used = await lab.network({ pools: ['192.0.2.0/25'] });
  const web = await lab.container(used, { address: '192.0.2.2/25', ports: ['8080:80'] });
  const idle = await lab.network({ pools: ['192.0.2.128/25'] });
  const shown = await lab.daemon.cleat('purge', '--dry-run');
  assert.match(shown, new RegExp(`network +${used.slice(0, 12)} .*1 endpoint`));
  await lab.daemon.cleat('purge', '--yes');
  assert.is(await links(), [`cl-${used.slice(0, 12)}`, `cv${web.endpointId.slice(0, 10)}`].join('\n'));
  assert.not.match(await table(), new RegExp(idle.slice(0, 12)));
  await web.remove();
  await lab.daemon.cleat('purge', '--yes');
  assert.equal([await links(), await table()], ['', '']);
});

/** The verbs in the order of a container's life; each answers whether the engine would go on after it. */
const verbs = [
  'createNetwork',
  'createEndpoint',
  'join',
  'programExternalConnectivity',
  'revokeExternalConnectivity',
  'leave',
  'deleteEndpoint',
  'deleteNetwork',
] as const;

test(`${rounds} kills inside verbs, at chosen system calls: the next start has everything or nothing of it`, async () => {
  for (let round = 0; round < rounds; round++) {
    const verb = verbs[round % verbs.length] as (typeof verbs)[number];
    const when = 1 + Math.floor(round / verbs.length) * 2 + Math.floor(Math.random() * 2);
    await killInside(verb, when);
  }
});

/** kill -9 at the n-th system call that changes something (netlink, records) of one verb. */
async function killInside(verb: (typeof verbs)[number], when: number): Promise<void> {
  const label = `${verb}, system call ${when}`;
  const { network } = new PluginClient(
    { url: `unix://${lab.daemon.socket('cleat-bridge')}` },
    { retry: { delaysMs: [], windowMs: 0 } },
  );
  const networkId = newId();
  const endpointId = newId();
  const where = { networkId, endpointId };
  const ports = { exposedPorts: [], portBindings: bindings(['8080:80', '8081:53/udp', '9000-9009:9000-9009']) };
  const calls = {
    createNetwork: () =>
      network.createNetwork(networkRequest(networkId, { pools: ['192.0.2.0/24', '2001:db8:1::/64'] })),
    createEndpoint: () =>
      network.createEndpoint({
        ...where,
        interface: { address: '192.0.2.2/24', addressIPv6: '2001:db8:1::2/64' },
        options: {},
        ...ports,
      }),
    join: () => network.join({ ...where, sandboxKey: '/run/netns/none', options: {}, ...ports }),
    programExternalConnectivity: () => network.programExternalConnectivity({ ...where, ...ports, noProxy6To4: false }),
    revokeExternalConnectivity: () => network.revokeExternalConnectivity(where),
    leave: () => network.leave(where),
    deleteEndpoint: () => network.deleteEndpoint(where),
    deleteNetwork: () => network.deleteNetwork({ networkId }),
  };
  for (const earlier of verbs.slice(0, verbs.indexOf(verb))) await calls[earlier]();
  const pid = await lab.daemon.pid();
  const syscalls = 'sendto,sendmsg,pwrite64,fdatasync,bind';
  const strace = await attach(pid, `-e trace=${syscalls} -e inject=${syscalls}:signal=KILL:when=${when}`);
  const outcome = await calls[verb]().then(
    () => 'answered',
    (error: { code?: string }) => (error.code === 'PROTO_REMOTE' ? 'refused' : 'died'),
  );
  // strace ends with the process that it looks at.
  if (outcome === 'died') await eventually('strace ended', () => !strace.running());
  else if (strace.running()) await strace.kill();
  if (lab.daemon.running()) await lab.daemon.kill();
  await lab.daemon.start();
  await checkAgreement(label);
  // As an engine does after a failure, or goes on after success: whatever it asks for must work.
  if (outcome !== 'answered') await calls[verb]();
  for (const later of verbs.slice(verbs.indexOf(verb) + 1)) await calls[later]();
  assert.is(await links(), '', `${label}: links are left`);
  assert.equal([await control('/networks'), await control('/endpoints'), await control('/ports')], [[], [], []], label);
  assert.not.match(await table(), /elements|-[0-9a-f]{12} \{/, `${label}: rules are left`);
}

/** Whether links, rules and records tell the same. */
async function checkAgreement(label: string): Promise<void> {
  const networks = await control<{ networkId: string }[]>('/networks');
  const endpoints = await control<{ endpointId: string }[]>('/endpoints');
  const ports = await control<{ hostPort: string; family: number }[]>('/ports');
  const ours = (await links()).split('\n').filter((name) => name !== '' && !/^cv.{10}c$/.test(name));
  const wanted = [
    ...networks.map(({ networkId }) => `cl-${networkId.slice(0, 12)}`),
    ...endpoints.map(({ endpointId }) => `cv${endpointId.slice(0, 10)}`),
  ];
  assert.equal(ours, wanted.sort(), label);
  const text = await lab.host.sh('nft list table inet cleat 2>/dev/null || true');
  for (const { networkId } of networks) assert.match(text, new RegExp(`chain to-${networkId.slice(0, 12)} `), label);
  assert.is(text.split('chain to-').length - 1, networks.length, label);
  const four = ports.filter(({ family }) => family === 4);
  assert.is((text.match(/(tcp|udp) \. [0-9-]+ : 192\.0\.2\.2/g) ?? []).length, four.length, label);
}

async function attach(pid: number, flags: string): Promise<HostProcess> {
  const tracer = lab.host.start('bash', [
    '-c',
    `exec strace -f -q -p ${await pidInside(pid)} ${flags} -o ${join(lab.host.dir, 'strace')}`,
  ]);
  await eventually(
    'strace is attached',
    async () => {
      // A timer of the daemon's own may have made the system call that it was to die at.
      if (!tracer.running()) return true;
      const status = await lab.host.sh(`grep TracerPid /proc/${await pidInside(pid)}/status`);
      return !/TracerPid:\s+0$/.test(status);
    },
    { everyMs: 5 },
  );
  return tracer;
}

/** The host has a process namespace of its own. */
async function pidInside(pid: number): Promise<string> {
  const { readFileSync } = await import('node:fs');
  return /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? String(pid);
}

export type { Container };

test.run();
