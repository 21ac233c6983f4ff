/**
 * What tests of drivers on the LAN stand on: hosts with an engine and a cleat-networkd each, and a neighbour without.
 *
 *     host 1: eth0 192.0.2.2, 2001:db8::2 ──┐
 *     host 2: eth0 192.0.2.3, 2001:db8::3 ──┼── segment
 *     neighbour: eth0 192.0.2.9 and .1, 2001:db8::9 and ::1
 */
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { createSegment, type Segment } from '../support/segment.ts';
import { importBusybox, startShim } from '../support/shim.ts';

/** The docker command against an engine or the shim; returns the trimmed standard output, throws with stderr. */
export type Docker = (...args: readonly string[]) => Promise<string>;

export interface LanHost {
  readonly host: Host;
  /** The switch's port that it is on. */
  readonly port: string;
  readonly daemon: Daemon;
  readonly engine: Engine;
  readonly docker: Docker;
}

export interface Lan {
  readonly hosts: readonly LanHost[];
  readonly neighbour: Host;
  readonly segment: Segment;
  close(): Promise<void>;
}

export async function startLan(
  versions: readonly EngineVersion[],
  options: { readonly mtu?: number } = {},
): Promise<Lan> {
  const opened: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of opened.splice(0)) await one.close();
  };
  try {
    const neighbour = await createHost({ name: 'neighbour' });
    const segment = await createSegment();
    opened.push(neighbour, segment);
    const addresses = ['192.0.2.9/24', '192.0.2.1/24', '2001:db8::9/64', '2001:db8::1/64'];
    await segment.attach(neighbour, { addresses });
    const hosts: Pick<LanHost, 'host' | 'port'>[] = [];
    for (const [index] of versions.entries()) {
      const host = await createHost({ name: 'lan' });
      opened.push(host);
      const own = [`192.0.2.${index + 2}/24`, `2001:db8::${index + 2}/64`];
      hosts.push({ host, port: await segment.attach(host, { addresses: own, gateway: '192.0.2.1', ...options }) });
    }
    const started = await Promise.all(
      hosts.map(async ({ host, port }, index) => {
        const daemon = await startDaemon('networkd', host);
        const engine = await startEngine({ version: versions[index] as EngineVersion, host });
        return { host, port, daemon, engine, docker: engine.docker };
      }),
    );
    return { hosts: started, neighbour, segment, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** cleat-shim beside the engine of a host, with busybox. Its containers need `--log-driver none`. */
export async function startShimOn({ engine, host }: LanHost): Promise<Docker> {
  const shim = await startShim(engine);
  await importBusybox(host);
  return async (...args) => {
    const { code, stdout, stderr } = await shim.docker(...args);
    if (code !== 0) throw new Error(stderr.trim());
    return stdout.trim();
  };
}

/** What a command that must fail says. */
export function refused(docker: Docker, ...args: readonly string[]): Promise<string> {
  return docker(...args).then(
    (output) => `success: ${output}`,
    (error: Error) => error.message,
  );
}

const ping = (address: string) => `ping -c1 -W2 ${address} >/dev/null 2>&1 && echo yes || echo no`;

export async function hostReaches(host: Host, address: string): Promise<boolean> {
  return (await host.sh(ping(address))) === 'yes';
}

export async function containerReaches(docker: Docker, container: string, address: string): Promise<boolean> {
  return (await docker('exec', container, 'sh', '-c', ping(address))) === 'yes';
}

/** The host's routes to containers, one a line. */
export function routes(host: Host): Promise<string> {
  return host.sh('ip route show proto 99; ip -6 route show proto 99');
}

/** Links and routes that containers or networks on the LAN have left in the host's namespace. */
export async function leftovers(host: Host): Promise<string> {
  const links = "ip -o link | grep -oE '(cd-|ch-|cv)[0-9a-f]+c?|[^ ]+[.][0-9]+@|macvlan|ipvlan' || true";
  return (await host.sh(links)) + (await routes(host));
}

/** What a test has made on the engine goes, and nothing of it may be left on the host. */
export async function removeAll({ docker, host }: LanHost): Promise<void> {
  const list = async (...args: string[]) => (await docker(...args)).split('\n').filter(Boolean);
  const containers = await list('ps', '-aq');
  if (containers.length > 0) await docker('rm', '-f', ...containers);
  const networks = await list('network', 'ls', '-q', '--filter', 'type=custom');
  if (networks.length > 0) await docker('network', 'rm', ...networks);
  await eventually('nothing is left', async () => (await leftovers(host)) === '', { timeoutMs: 60_000 });
}
