/**
 * Hosts with cleat-networkd and a network over them, and containers that are bare network namespaces, attached as an engine does
 * it: what tests of cleat-overlay need that need no engine.
 */
import { randomBytes } from 'node:crypto';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import type { Host } from '../support/host.ts';

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

/** `10.9.0.0/24` → `10.9.0.1/24`, `fd00:9::/64` → `fd00:9::1/64` */
function firstAddress(range: string): string {
  return range.includes(':') ? range.replace('::/', '::1/') : range.replace(/\.0\//, '.1/');
}
