/**
 * Hosts with cleat-networkd and a network over them, and containers that are bare network namespaces, attached as an engine does
 * it: what tests of cleat-overlay need that need no engine.
 */
import { randomBytes } from 'node:crypto';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { createSegment, type Segment } from '../support/segment.ts';

export interface Machine {
  readonly host: Host;
  readonly daemon: Daemon;
  readonly client: PluginClient;
  readonly networkId: string;
}

export interface LabNetwork {
  readonly options?: Readonly<Record<string, string>>;
  readonly pool?: string;
  readonly pool6?: string;
}

export interface TwoHosts {
  readonly one: Host;
  readonly two: Host;
  readonly segment: Segment;
  close(): Promise<void>;
}

/** On one segment, with these addresses. */
export async function twoHosts(underlay: readonly [string, string] = ['192.0.2.1', '192.0.2.2']): Promise<TwoHosts> {
  const [one, two, segment] = await Promise.all([
    createHost({ name: 'one' }),
    createHost({ name: 'two' }),
    createSegment(),
  ]);
  const close = async () => void (await Promise.all([one, two, segment].map((part) => part.close())));
  try {
    for (const [index, host] of [one, two].entries()) {
      const address = underlay[index] ?? '';
      await segment.attach(host, { addresses: [`${address}/${address.includes(':') ? 64 : 24}`] });
    }
    return { one, two, segment, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export const randomId = () => randomBytes(32).toString('hex');

/** `overlay`: that part of the configuration, with the secret. */
export async function startMachine(host: Host, overlay: object): Promise<Machine> {
  const daemon = await startDaemon('networkd', host, { config: { overlay } });
  const client = new PluginClient({ url: `unix://${daemon.socket('cleat-overlay')}` });
  return { host, daemon, networkId: randomId(), client };
}

export async function createNetwork(
  { client, networkId }: Pick<Machine, 'client' | 'networkId'>,
  { options = {}, pool = '10.9.0.0/24', pool6 }: LabNetwork,
): Promise<void> {
  const data = (range: string) => [
    { addressSpace: 'test', pool: range, gateway: firstAddress(range), auxAddresses: {} },
  ];
  await client.network.createNetwork({
    networkId,
    options,
    enableIPv4: true,
    enableIPv6: pool6 !== undefined,
    internal: false,
    ipv4: data(pool),
    ipv6: pool6 === undefined ? [] : data(pool6),
  });
}

/** Returns the endpoint's id. */
export async function join({ client, networkId }: Machine, address: string, addressIPv6?: string): Promise<string> {
  const endpointId = randomId();
  const ports = { exposedPorts: [], portBindings: [] };
  const given = { address, ...(addressIPv6 !== undefined && { addressIPv6 }) };
  await client.network.createEndpoint({ networkId, endpointId, interface: given, options: {}, ...ports });
  await client.network.join({ networkId, endpointId, sandboxKey: '/run/docker/netns/x', options: {}, ...ports });
  return endpointId;
}

/** Moves the endpoint's link into the namespace `box` and sets it up, as an engine does. */
export async function plug({ host }: Machine, endpointId: string, ...addresses: readonly string[]): Promise<void> {
  const lines = addresses.map(
    (address) => `ip -n box addr add ${address} dev eth0 ${address.includes(':') ? 'nodad' : ''}`,
  );
  await host.sh(
    `ip netns add box
     ip -n box link set lo up
     ip link set cv${endpointId.slice(0, 10)}c netns box name eth0
     ${lines.join('\n')}
     ip -n box link set eth0 up`,
  );
}

export interface Stream {
  /** Numbers of packets so far that were not answered, however late. Ends it. */
  lost(): Promise<number[]>;
}

/** Pings from the container that go on until they are asked for. */
export function stream({ host }: Pick<Machine, 'host'>, to: string, everySeconds = 0.02): Stream {
  const pings = host.start('ip', ['netns', 'exec', 'box', 'ping', '-i', String(everySeconds), to]);
  const answered = () =>
    new Set([...pings.output().matchAll(/icmp_seq=(\d+) (?:ttl|hlim)/g)].map(([, number]) => Number(number)));
  return {
    async lost() {
      const last = Math.max(...answered());
      await eventually('answers go on', () => Math.max(...answered()) > last + 20);
      await pings.stop();
      const seen = answered();
      return Array.from({ length: last }, (_, index) => index + 1).filter((number) => !seen.has(number));
    },
  };
}

/** `10.9.0.0/24` → `10.9.0.1/24`, `fd00:9::/64` → `fd00:9::1/64` */
function firstAddress(range: string): string {
  return range.includes(':') ? range.replace('::/', '::1/') : range.replace(/\.0\//, '.1/');
}
