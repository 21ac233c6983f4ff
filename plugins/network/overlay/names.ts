/** Names over hosts: what containers here are called, for the others; and the others' names, for the containers here. */
import { findIp, type Ip } from '../address/ip.ts';
import { namesOf, outOfService } from '../dns/contribution.ts';
import type { Directory } from '../dns/directory.ts';
import { reverseName } from '../dns/name.ts';
import { findName } from '../dns/options.ts';
import { addressData, nameData } from '../dns/rdata.ts';
import { types } from '../dns/wire.ts';
import type { Contribution, ZoneRecord } from '../dns/zone.ts';
import type { RegistryEndpoint } from '../registry.ts';
import type { SharedEndpoint } from './control-plane.ts';
import type { RemoteHost } from './remote.ts';

/** None while the container is paused or unhealthy, where its network's options say that this counts. */
export function localNames(directory: Directory | undefined, endpoint: RegistryEndpoint): readonly string[] {
  const network = directory?.find(endpoint.networkId);
  const container = directory?.containerOf(endpoint);
  if (network && network.options.health !== 'off' && outOfService(container) !== undefined) return [];
  return namesOf(endpoint, container).map(({ name }) => name);
}

interface NamedHost {
  readonly remote: RemoteHost;
  readonly suffix: string | undefined;
  /** By their ids. */
  readonly endpoints: ReadonlyMap<string, SharedEndpoint>;
}

/** What other hosts bring into the names of one network here, each container by itself, so that a change is no more than its own. */
export class RemoteNames {
  readonly #networkId: string;
  /** By node. */
  #named: ReadonlyMap<string, NamedHost> = new Map();

  constructor(networkId: string) {
    this.#networkId = networkId;
  }

  /** Brings the names to what these hosts say. A change empties the tables of ready answers, so there must be one. */
  settle(directory: Directory, remotes: readonly RemoteHost[]): void {
    const suffix = directory.find(this.#networkId)?.options.domain ?? directory.nameOf(this.#networkId);
    const named = new Map<string, NamedHost>();
    const changes = new Map<string, Contribution>();
    for (const remote of remotes) {
      const before = this.#named.get(remote.node);
      if (before?.remote === remote && before.suffix === suffix) {
        named.set(remote.node, before);
        continue;
      }
      const endpoints = new Map(remote.endpoints.map((endpoint) => [endpoint.id, endpoint]));
      named.set(remote.node, { remote, suffix, endpoints });
      const isAlike = before?.suffix === suffix && before?.remote.hostName === remote.hostName;
      const alike = isAlike ? before?.endpoints : undefined;
      for (const [id, endpoint] of endpoints)
        if (!isSame(alike?.get(id), endpoint))
          changes.set(contributor(remote.node, id), remoteContribution(endpoint, remote.hostName, suffix));
    }
    for (const [node, { endpoints }] of this.#named)
      for (const id of endpoints.keys())
        if (!named.get(node)?.endpoints.has(id)) changes.set(contributor(node, id), new Map());
    this.#named = named;
    if (changes.size > 0) directory.contribute(this.#networkId, changes);
  }
}

function contributor(node: string, endpointId: string): string {
  return `overlay ${node} ${endpointId}`;
}

function isSame(one: SharedEndpoint | undefined, other: SharedEndpoint): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** Everything that a container of another host brings into the zone of a network here. */
function remoteContribution(
  { id, names, addresses }: SharedEndpoint,
  hostName: string,
  suffix: string | undefined,
): Contribution {
  const out = new Map<string, ZoneRecord[]>();
  const ips = addresses.map(findIp).filter((ip): ip is Ip => ip !== undefined);
  const known = names.map(findName).filter((name): name is string => name !== undefined);
  const [primary] = known;
  if (primary === undefined) return out;
  const source = { reason: `container on ${hostName}`, endpointId: id, container: primary, elsewhere: true };
  for (const name of new Set(known))
    out.set(
      name,
      ips.map((ip) => ({ ...addressData(ip), source })),
    );
  const fullName = suffix === undefined ? primary : `${primary}.${suffix}`;
  for (const ip of ips) out.set(reverseName(ip), [{ ...nameData(types.PTR, fullName), source }]);
  return out;
}
