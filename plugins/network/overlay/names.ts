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
import type { RemoteHost } from './remote.ts';

/** None while the container is paused or unhealthy, where its network's options say that this counts. */
export function localNames(directory: Directory | undefined, endpoint: RegistryEndpoint): readonly string[] {
  const network = directory?.find(endpoint.networkId);
  const container = directory?.containerOf(endpoint);
  if (network && network.options.health !== 'off' && outOfService(container) !== undefined) return [];
  return namesOf(endpoint, container).map(({ name }) => name);
}

/** Everything that one host brings into the zone of a network here. */
export function remoteContribution({ hostName, endpoints }: RemoteHost, suffix: string | undefined): Contribution {
  const out = new Map<string, ZoneRecord[]>();
  for (const { id, names, addresses } of endpoints) {
    const ips = addresses.map(findIp).filter((ip): ip is Ip => ip !== undefined);
    const known = names.map(findName).filter((name): name is string => name !== undefined);
    const [primary] = known;
    if (primary === undefined) continue;
    const source = { reason: `container on ${hostName}`, endpointId: id, container: primary, elsewhere: true };
    for (const name of new Set(known)) {
      const records = out.get(name) ?? [];
      out.set(name, [...records, ...ips.map((ip) => ({ ...addressData(ip), source }))]);
    }
    const fullName = suffix === undefined ? primary : `${primary}.${suffix}`;
    for (const ip of ips) out.set(reverseName(ip), [{ ...nameData(types.PTR, fullName), source }]);
  }
  return out;
}
