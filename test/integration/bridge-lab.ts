/**
 * A host with cleat-networkd and containers that are bare network namespaces, attached as an engine does it (CreateEndpoint,
 * Join, move the link, set addresses, Program), so that tests of the bridge need no engine.
 *
 *     outside 198.51.100.9, 2001:db8:51::9 ──┐
 *     other   198.51.100.8, 2001:db8:51::8 ──┤ segment
 *     host    198.51.100.1, 2001:db8:51::1 ──┘  cleat-networkd, containers
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PluginClient } from '../../plugins/sdk/client.ts';
import type { CreateNetworkRequest, IpamData, JoinReply, PortBinding } from '../../plugins/sdk/network-plugin.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, type Requirement } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';

export interface NetworkOptions {
  readonly options?: Readonly<Record<string, string>>;
  readonly internal?: boolean;
  /** Subnets; the gateway is the first address unless `gateways` names another. */
  readonly pools: readonly string[];
  readonly noGateway?: boolean;
  readonly aux?: Readonly<Record<string, string>>;
}

export interface ContainerOptions {
  /** CIDR. */
  readonly address?: string;
  readonly address6?: string;
  readonly mac?: string;
  /** `8080:80`, `53:53/udp`, `192.0.2.1|8080:80`, `8000-8010:80`, `0:80`. */
  readonly ports?: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
}

export interface Container {
  readonly networkId: string;
  readonly endpointId: string;
  readonly netns: string;
  readonly reply: JoinReply;
  /** A line of shell in the container's namespace; returns the trimmed output. */
  sh(script: string): Promise<string>;
  /** Leaves and is deleted as by an engine. */
  remove(): Promise<void>;
}

/** Which packet filter cleat-bridge works with here: of CLEAT_FIREWALL=iptables-legacy|iptables-nft, else what the host has. */
export const firewall = process.env['CLEAT_FIREWALL'] ?? (missing('nftables') ? 'iptables' : 'nftables');
export const needsFirewall: Requirement = firewall === 'nftables' ? 'nftables' : 'program:iptables-legacy-restore';

export interface Lab {
  readonly host: Host;
  readonly daemon: Daemon;
  readonly client: PluginClient;
  readonly outside: Host;
  readonly other: Host;
  readonly segment: Segment;
  /** Everything of ours in the packet filter, in its own words. */
  rules(): Promise<string>;
  /** IDs of internal networks, where an engine does not ask for ports. */
  readonly internal: Set<string>;
  network(options: NetworkOptions): Promise<string>;
  container(networkId: string, options: ContainerOptions): Promise<Container>;
  close(): Promise<void>;
}

const nftRules = 'nft list table inet cleat 2>/dev/null || true';
// Without counters and comments: two that are alike are the same text.
const iptablesRules =
  "for c in iptables ip6tables; do $c-save | grep -E '^[*:]|^-A' | grep CLEAT- | sed s/^/$c:/ || true; done";

export const newId = () => randomBytes(32).toString('hex');

export async function createLab(
  options: { readonly mtu?: number; readonly daemon?: DaemonOptions } = {},
): Promise<Lab> {
  const forced = firewall === 'iptables-legacy' ? 'legacy' : firewall === 'iptables-nft' ? 'nft' : undefined;
  const config = { ...options.daemon?.config, ...(forced && { firewall: 'iptables' }) };
  const [host, outside, other, segment] = await Promise.all([
    createHost({ name: 'bridge', ...(forced && { iptables: forced }) }),
    createHost({ name: 'outside' }),
    createHost({ name: 'other' }),
    createSegment(options.mtu === undefined ? {} : { mtu: options.mtu }),
  ]);
  const close = async () => {
    await Promise.all([host, outside, other, segment].map((part) => part.close()));
  };
  try {
    await segment.attach(host, { addresses: ['198.51.100.1/24', '2001:db8:51::1/64'], gateway: '198.51.100.254' });
    await segment.attach(outside, { addresses: ['198.51.100.9/24', '2001:db8:51::9/64'] });
    await segment.attach(other, { addresses: ['198.51.100.8/24', '2001:db8:51::8/64'] });
    const daemon = await startDaemon('networkd', host, { ...options.daemon, config });
    const client = new PluginClient({ url: `unix://${daemon.socket('cleat-bridge')}` });
    const lab: Lab = {
      host,
      daemon,
      client,
      outside,
      other,
      segment,
      rules: () => host.sh(firewall === 'nftables' ? nftRules : iptablesRules),
      internal: new Set(),
      network: (network) => makeNetwork(lab, network),
      container: (networkId, container) => makeContainer(lab, networkId, container),
      close,
    };
    return lab;
  } catch (error) {
    await close();
    throw error;
  }
}

export function networkRequest(networkId: string, options: NetworkOptions): CreateNetworkRequest {
  const data = options.pools.map((pool): IpamData => {
    const [base = '', length] = pool.split('/');
    const gateway = base.includes(':') ? `${base}1` : base.replace(/\d+$/, (last) => String(Number(last) + 1));
    return {
      addressSpace: 'test',
      pool,
      ...(!options.noGateway && { gateway: `${gateway}/${length}` }),
      auxAddresses: options.aux ?? {},
    };
  });
  const ipv6 = data.filter(({ pool }) => pool.includes(':'));
  return {
    networkId,
    options: options.options ?? {},
    enableIPv4: data.length > ipv6.length,
    enableIPv6: ipv6.length > 0,
    internal: options.internal ?? false,
    ipv4: data.filter(({ pool }) => !pool.includes(':')),
    ipv6,
  };
}

export function bindings(texts: readonly string[] = []): PortBinding[] {
  return texts.flatMap((text) => {
    const found = /^(?:(.*)\|)?(\d+)(?:-(\d+))?:(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(text);
    if (!found) throw new Error(`"${text}" is no port binding`);
    const [, hostIp = '', first = '', last, container = '', containerLast, protocol = 'tcp'] = found;
    const common = { protocol: protocol as PortBinding['protocol'], hostIp, containerIp: '' };
    if (containerLast !== undefined) {
      // As the docker command sends a range to a range: one binding for each port.
      return Array.from({ length: Number(containerLast) - Number(container) + 1 }, (_, index) => {
        const hostPort = Number(first) + index;
        return { ...common, hostPort, hostPortEnd: hostPort, containerPort: Number(container) + index };
      });
    }
    const hostPort = Number(first);
    return [{ ...common, hostPort, hostPortEnd: Number(last ?? first), containerPort: Number(container) }];
  });
}

async function makeNetwork(lab: Lab, options: NetworkOptions): Promise<string> {
  const networkId = newId();
  await lab.client.network.createNetwork(networkRequest(networkId, options));
  if (options.internal) lab.internal.add(networkId);
  return networkId;
}

export async function makeContainer(lab: Lab, networkId: string, options: ContainerOptions): Promise<Container> {
  const { client, host } = lab;
  const endpointId = newId();
  const portBindings = bindings(options.ports);
  const ports = { exposedPorts: [], portBindings };
  const made = await client.network.createEndpoint({
    networkId,
    endpointId,
    interface: {
      ...(options.address !== undefined && { address: options.address }),
      ...(options.address6 !== undefined && { addressIPv6: options.address6 }),
      ...(options.mac !== undefined && { macAddress: options.mac }),
    },
    options: options.options ?? {},
    ...ports,
  });
  const name = `c${endpointId.slice(0, 8)}`;
  const netns = `/run/netns/${name}`;
  await host.sh(`ip netns add ${name}`);
  const reply = await client.network.join({ networkId, endpointId, sandboxKey: netns, options: {}, ...ports });
  const { srcName, dstPrefix } = reply.interfaceName;
  const mac = options.mac ?? made.macAddress;
  const lines = [
    `ip link set ${srcName} netns ${name}`,
    `ip -n ${name} link set ${srcName} name ${dstPrefix}0 ${mac ? `address ${mac}` : ''}`,
    `ip -n ${name} link set lo up`,
    ...(options.address === undefined ? [] : [`ip -n ${name} addr add ${options.address} dev ${dstPrefix}0`]),
    ...(options.address6 === undefined ? [] : [`ip -n ${name} addr add ${options.address6} dev ${dstPrefix}0 nodad`]),
    `ip -n ${name} link set ${dstPrefix}0 up`,
    ...(reply.gateway === undefined ? [] : [`ip -n ${name} route add default via ${reply.gateway}`]),
    ...(reply.gatewayIPv6 === undefined ? [] : [`ip -n ${name} -6 route add default via ${reply.gatewayIPv6}`]),
    ...(reply.staticRoutes ?? []).map(
      ({ destination, nextHop }) =>
        `ip -n ${name} route add ${destination} ${nextHop === undefined ? `dev ${dstPrefix}0` : `via ${nextHop}`}`,
    ),
  ];
  await host.sh(lines.join('\n'));
  const where = { networkId, endpointId };
  try {
    if (!lab.internal.has(networkId)) {
      await client.network.programExternalConnectivity({ ...where, ...ports, noProxy6To4: false });
    }
  } catch (error) {
    await host.sh(`ip netns del ${name}`);
    await client.network.leave(where);
    await client.network.deleteEndpoint(where);
    throw error;
  }
  return {
    ...where,
    netns,
    reply,
    sh: (script) => host.sh(`exec nsenter --net=${netns} bash -euo pipefail -c "$SCRIPT"`, { env: { SCRIPT: script } }),
    remove: async () => {
      await client.network.revokeExternalConnectivity(where);
      await client.network.leave(where);
      await host.sh(
        `ip -n ${name} link set ${dstPrefix}0 down; ip -n ${name} link set ${dstPrefix}0 name ${srcName}; ip -n ${name} link set ${srcName} netns 1; ip netns del ${name}`,
      );
      await client.network.deleteEndpoint(where);
    },
  };
}

/** A server in the container that answers every connection with `NAME PEER`, the client's address as it sees it. */
export async function serve(container: Container, host: Host, name: string, where = 'TCP6-LISTEN:80'): Promise<void> {
  const listening = where.startsWith('UDP') ? 'ualn' : where.startsWith('SCTP') ? '' : 'ltn';
  const port = where.split(':')[1];
  host.start('nsenter', [
    `--net=${container.netns}`,
    'socat',
    `${where},reuseaddr,fork,ipv6only=0`,
    `SYSTEM:${where.startsWith('UDP') ? 'read line; ' : ''}echo ${name} $SOCAT_PEERADDR`,
  ]);
  if (listening === '') return;
  await container.sh(
    `for i in $(seq 100); do ss -H${listening} | grep -q ":${port} " && exit 0; sleep 0.05; done; exit 1`,
  );
}

/** What a client reads: `NAME PEER`; `''` when it gets no connection in time. */
export function ask(
  place: Pick<Host, 'sh'> | Container,
  address: string,
  port: number,
  protocol = 'TCP',
): Promise<string> {
  const [family, to] = address.includes(':') ? ['6', `[${address}]`] : ['4', address];
  const server = `${protocol}${family}:${to}:${port}${protocol === 'UDP' ? '' : ',connect-timeout=1'}`;
  // SCTP has no half-closed associations (RFC 9260 §1.5.1): nothing may be said that ends.
  const sides = protocol === 'SCTP' ? `-u ${server} -` : `- ${server}`;
  const say = protocol === 'UDP' ? 'echo hi | ' : '';
  const script = `${say}timeout 4 socat -t 1 -T 2 ${sides} 2>/dev/null || true`;
  return place.sh(script);
}

export const stateFile = (daemon: Daemon) => join(daemon.stateDir, 'networkd.db');
