/** Which names and records one endpoint, or one network's own options, bring into the zone. Pure. */
import { findIp, type Ip, parseIp } from '../address/ip.ts';
import type { EngineContainer } from '../engine/container.ts';
import type { RegistryEndpoint, RegistryNetwork } from '../registry.ts';
import { reverseName, stripSuffix } from './name.ts';
import { type DnsNetworkOptions, findName, readEndpointOptions } from './options.ts';
import { addressData, nameData, srvData } from './rdata.ts';
import { serviceLabels } from './service-names.ts';
import { types } from './wire.ts';
import type { Contribution, RecordSource, ZoneRecord } from './zone.ts';

/** Names of the host itself: Docker Desktop's, Podman's, and the one of systemd's nss-myhostname. */
export const hostNames = [
  'host.docker.internal',
  'gateway.docker.internal',
  'host.containers.internal',
  '_gateway',
] as const;

/** Knows which container an address was asked for. */
export interface AddressNames {
  nameOf(pool: string, address: string): string | undefined;
}

interface NamedAs {
  readonly name: string;
  readonly reason: string;
}

/** Why a container's addresses are not given at the moment. */
export function outOfService(container: EngineContainer | undefined): string | undefined {
  if (container === undefined) return undefined;
  if (container.paused) return 'paused';
  if (container.health === 'unhealthy') return 'unhealthy';
  return undefined;
}

/** What a container is called on one network, its own name first. */
export function namesOf(
  endpoint: RegistryEndpoint,
  container: EngineContainer | undefined,
  nameFromIpam?: string,
): NamedAs[] {
  const options = readEndpointOptions(endpoint.options);
  // The engine answers a service's name with its virtual address, which leads somewhere on Docker's own overlay only.
  const service = container?.labels['com.docker.swarm.service.name'];
  const given: [string | undefined, string][] = [
    [container?.name, 'container name'],
    [options.name, 'endpoint option cleat.name'],
    // After a rename the engine's own word counts, and only that.
    [container === undefined ? nameFromIpam : undefined, 'request for its address'],
    ...options.aliases.map((alias): [string, string] => [alias, 'endpoint option cleat.alias']),
    ...aliasesOf(endpoint, container).map((alias): [string, string] => [alias, 'alias']),
    [container?.labels['com.docker.compose.service'], 'compose service'],
    [service, 'swarm service'],
    [service && `tasks.${service}`, 'swarm service'],
    [container?.id.slice(0, 12) ?? options.containerId?.slice(0, 12), 'container id'],
  ];
  const names = new Map<string, string>();
  for (const [text, reason] of given) {
    const name = text === undefined ? undefined : findName(text);
    if (name !== undefined && !names.has(name)) names.set(name, reason);
  }
  return [...names].map(([name, reason]) => ({ name, reason }));
}

function aliasesOf(endpoint: RegistryEndpoint, container: EngineContainer | undefined): readonly string[] {
  const here = container?.networks.find(
    (network) => network.endpointId === endpoint.endpointId || network.networkId === endpoint.networkId,
  );
  return here?.aliases ?? [];
}

export function endpointContribution(
  endpoint: RegistryEndpoint,
  container: EngineContainer | undefined,
  options: DnsNetworkOptions,
  networkName: string | undefined,
  nameFromIpam?: string,
): Contribution {
  const out = new Map<string, ZoneRecord[]>();
  if (endpoint.state !== 'joined') return out;
  const ips = endpoint.addresses.map(findIp).filter((ip): ip is Ip => ip !== undefined);
  const named = namesOf(endpoint, container, nameFromIpam);
  const primary = named[0];
  const suffix = options.domain ?? networkName;
  const source = (reason: string): RecordSource => ({
    reason,
    endpointId: endpoint.endpointId,
    ...(endpoint.sandboxKey === undefined ? {} : { sandboxKey: endpoint.sandboxKey }),
    ...(primary === undefined ? {} : { container: primary.name }),
  });
  const serving = options.health === 'off' || outOfService(container) === undefined;
  for (const { name, reason } of named) {
    out.set(name, serving ? ips.map((ip) => ({ ...addressData(ip), source: source(reason) })) : []);
  }
  if (primary === undefined) return out;
  const fullName = suffix === undefined ? primary.name : `${primary.name}.${suffix}`;
  for (const ip of ips) {
    out.set(reverseName(ip), [{ ...nameData(types.PTR, fullName), source: source(primary.reason) }]);
  }
  for (const { protocol, port } of container?.ports ?? []) {
    const data = srvData({ priority: 0, weight: 0, port, target: fullName });
    for (const label of serviceLabels(protocol, port)) {
      for (const { name } of named) {
        if (name.startsWith('*.')) continue;
        out.set(
          `${label}._${protocol}.${name}`,
          serving ? [{ ...data, source: source(`port ${port}/${protocol}`) }] : [],
        );
      }
    }
  }
  return out;
}

/** Static records and the names of the gateway. */
export function networkContribution(network: RegistryNetwork, options: DnsNetworkOptions): Contribution {
  const out = new Map<string, ZoneRecord[]>();
  if (network.hostInterface !== undefined) {
    const source: RecordSource = { reason: 'gateway of the network' };
    const gateways = network.pools.flatMap(({ gateway }) => (gateway === undefined ? [] : [parseIp(gateway)]));
    for (const name of gateways.length > 0 ? hostNames : []) {
      out.set(
        name,
        gateways.map((ip) => ({ ...addressData(ip), source })),
      );
    }
    for (const ip of gateways) {
      out.set(reverseName(ip), [{ ...nameData(types.PTR, 'host.docker.internal'), source }]);
    }
  }
  for (const [text, records] of Object.entries(options.records)) {
    const whole = findName(text);
    if (whole === undefined) continue;
    const owner = (options.domain === undefined ? undefined : stripSuffix(whole, options.domain)) ?? whole;
    out.set(
      owner,
      records.map((record) => ({ ...record, source: { reason: 'static record of the network' } })),
    );
  }
  return out;
}
