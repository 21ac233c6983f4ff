/**
 * Hostile requests to every method of every plugin of our daemons: a clear reply, no defect, nothing left behind.
 * CLEAT_ROUNDS requests a plugin (default 150), CLEAT_SEED to repeat a run.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Subject } from '../../plugins/sdk/contract/subject.ts';
import type { DriverKind } from '../../plugins/sdk/protocol/activate.ts';
import { isWireObject, type WireObject } from '../../plugins/sdk/protocol/wire.ts';
import { goodRequests, replaced } from '../contract/good-requests.ts';
import { type DaemonName, startDaemon } from '../support/daemon.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 150);
const seed = Number(process.env['CLEAT_SEED'] ?? Date.now() % 2 ** 31);

const plugins: Readonly<Record<Exclude<DaemonName, 'shim'>, Readonly<Record<string, DriverKind>>>> = {
  networkd: {
    'cleat-bridge': 'network',
    'cleat-macvlan': 'network',
    'cleat-ipvlan': 'network',
    'cleat-overlay': 'network',
    'cleat-ipam': 'ipam',
  },
  volumed: { 'cleat-local': 'volume', 'cleat-nfs': 'volume', 'cleat-tmpfs': 'volume' },
  logd: { 'cleat-json-file': 'log', 'cleat-syslog': 'log', 'cleat-gelf': 'log' },
};
const prefixes = {
  network: 'NetworkDriver.',
  ipam: 'IpamDriver.',
  volume: 'VolumeDriver.',
  log: 'LogDriver.',
} as const;

const hostile: readonly unknown[] = [
  ...[null, true, -1, 1e300, 5, '', [], {}, [null], { a: { b: [] } }],
  ...[
    '../../etc/passwd',
    '/',
    'x\0y',
    'x\ny',
    '$(reboot)',
    '"; drop',
    '-o',
    '%s%n',
    'ü✓',
    '\ud800',
    'x'.repeat(70_000),
  ],
  ...['0.0.0.0/0', '::/0', '192.0.2.0/33', '127.0.0.1/8', '224.0.0.0/4', '255.255.255.255', 'fe80::1%eth0'],
  ...[{ constructor: 'x' }, JSON.parse('{"__proto__": "x"}')],
];

interface Request {
  readonly method: string;
  readonly body: unknown;
}

function anyRequest(kind: DriverKind): fc.Arbitrary<Request> {
  const methods = Object.keys(goodRequests).filter((name) => name.startsWith(prefixes[kind]));
  const wrong = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...hostile) }, fc.jsonValue({ maxDepth: 2 }));
  return fc.tuple(fc.constantFrom(...methods), wrong, fc.nat()).map(([method, by, choice]) => {
    const bodies = replaced(goodRequests[method], by);
    return { method, body: bodies[choice % bodies.length] };
  });
}

/** The request that takes back what this one may have made. */
function undo({ method, body }: Request, reply: WireObject): Request | undefined {
  const field = (name: string) => (isWireObject(body) ? body[name] : undefined);
  switch (method) {
    case 'NetworkDriver.CreateNetwork':
      return { method: 'NetworkDriver.DeleteNetwork', body: { NetworkID: field('NetworkID') } };
    case 'NetworkDriver.CreateEndpoint':
      return {
        method: 'NetworkDriver.DeleteEndpoint',
        body: { NetworkID: field('NetworkID'), EndpointID: field('EndpointID') },
      };
    case 'IpamDriver.RequestPool':
      return { method: 'IpamDriver.ReleasePool', body: { PoolID: reply['PoolID'] } };
    case 'VolumeDriver.Create':
      return { method: 'VolumeDriver.Remove', body: { Name: field('Name') } };
    case 'VolumeDriver.Mount':
      return { method: 'VolumeDriver.Unmount', body };
    default:
      return undefined;
  }
}

interface KernelState {
  /** Counters and handles move by themselves, and are left out. */
  readonly links: string;
  readonly rules: string;
  /** Mount points; one that is used twice is there twice. */
  readonly mounts: readonly string[];
}

async function kernelState(host: Host): Promise<KernelState> {
  const rules = (await host.run('nft', ['list', 'ruleset'])).stdout.replaceAll(/packets \d+ bytes \d+/g, '');
  const links = (await host.run('ip', ['-o', 'link'])).stdout.replaceAll(/^\d+: /gm, '');
  const mounts = mountPoints(await host.sh('cat /proc/self/mountinfo'));
  return { links, rules, mounts };
}

function mountPoints(mountinfo: string): string[] {
  return mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '');
}

/**
 * The mounts of the machine, which a host starts with copies of. The kernel takes such a copy away when somebody on the
 * machine unmounts the original and deletes its mount point, as `ip netns delete` does: mount_namespaces(7), "restrictions".
 */
class MachineMounts {
  readonly #seen = new Set<string>();

  look(): Set<string> {
    const now = new Set(readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n'));
    for (const line of now) this.#seen.add(line);
    return now;
  }

  /** Both states without the mounts that the machine itself has lost since; to be called when both have been read. */
  withoutLost(...states: readonly KernelState[]): KernelState[] {
    const now = this.look();
    const lost = new Set(mountPoints([...this.#seen].filter((line) => !now.has(line)).join('\n')));
    return states.map((state) => ({ ...state, mounts: state.mounts.filter((path) => !lost.has(path)).sort() }));
  }
}

async function attack(subject: Subject, request: Request): Promise<void> {
  const send = async ({ method, body }: Request) => subject.send({ method, body: JSON.stringify(body) });
  const reply = await send(request);
  const shown = JSON.stringify(request).slice(0, 500);
  assert.is(reply.status, 200, `${shown}: ${reply.text}`);
  assert.ok(reply.body !== undefined, `${shown}: ${reply.text}`);
  const error = subject.errorIn(reply);
  if (error === undefined) {
    const back = undo(request, reply.body);
    if (back !== undefined) assert.is(subject.errorIn(await send(back)), undefined, `undoing ${shown}`);
    return;
  }
  assert.match(error, /\[[A-Z]+_[A-Z0-9_]+\]$/, `${shown}: an error without a code: ${error}`);
  assert.not.match(error, /PROTO_INTERNAL|PROTO_REPLY|PROTO_DEADLINE|\n/, `${shown}: ${error}`);
  assert.ok(error.length < 6000, `${shown}: an error of ${error.length} characters`);
}

for (const [daemon, kinds] of Object.entries(plugins)) {
  test(`cleat-${daemon} stands hostile requests`, async () => {
    const machine = new MachineMounts();
    machine.look();
    const host = await createHost();
    // What was mounted while the host was being made.
    machine.look();
    try {
      const running = await startDaemon(daemon as DaemonName, host, {
        logLevel: 'warn',
        ready: async (it) => {
          for (const plugin of Object.keys(kinds)) await host.run('test', ['-S', `${it.pluginDir}/${plugin}.sock`]);
          return true;
        },
      });
      for (const [plugin, kind] of Object.entries(kinds)) {
        const subject = new Subject(kind, { socket: running.socket(plugin) });
        const before = await kernelState(host);
        for (const request of fc.sample(anyRequest(kind), { numRuns: rounds, seed })) await attack(subject, request);
        const [was, is] = machine.withoutLost(before, await kernelState(host));
        assert.equal({ plugin, ...is }, { plugin, ...was });
        assert.equal(await subject.client.activate(), [kind]);
        subject.close();
      }
      assert.ok(running.running(), running.log());
    } catch (error) {
      const { message, details = '' } = error as Error & { readonly details?: string };
      throw new Error(`CLEAT_SEED=${seed}: ${message}\n${details}`, { cause: error });
    } finally {
      await host.close();
    }
  });
}

test.run();
