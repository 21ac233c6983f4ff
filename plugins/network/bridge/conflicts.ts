/** Whether a new network can live beside what is there: our other networks, and the interfaces of the host. Pure. */
import { PluginError } from '../../sdk/errors.ts';
import { type Cidr, cidrsOverlap, findCidr, formatCidr, parseCidr, sameCidr } from '../address/cidr.ts';

export interface KnownNetwork {
  readonly networkId: string;
  readonly bridge: string;
  readonly pools: readonly string[];
}

/** A subnet that an interface of the host has. */
export interface HostSubnet {
  readonly interfaceName: string;
  readonly cidr: string;
}

/** The first of our networks that shares the bridge or an address with the new one. */
export function findClash(
  wanted: KnownNetwork,
  others: Iterable<KnownNetwork>,
): { readonly network: KnownNetwork; readonly error: PluginError } | undefined {
  for (const other of others) {
    if (other.networkId === wanted.networkId) continue;
    const short = other.networkId.slice(0, 12);
    if (other.bridge === wanted.bridge) {
      const message = `bridge ${wanted.bridge} already belongs to the network ${short}`;
      return {
        network: other,
        error: new PluginError('NET_BRIDGE_TAKEN', message, { hint: 'choose another bridge name' }),
      };
    }
    const pair = overlap(wanted.pools, other.pools);
    if (pair) {
      const message = `subnet ${pair[0]} overlaps ${pair[1]} of the network ${short} on bridge ${other.bridge}`;
      const error = new PluginError('NET_SUBNET_OVERLAP', message, { hint: 'choose another --subnet' });
      return { network: other, error };
    }
  }
  return undefined;
}

/**
 * What the host's other interfaces say to the subnets: the same one elsewhere is an error, for two routes to it would fight;
 * one inside the other works for most addresses, as it does with the engine's own bridge, and is worth a warning.
 */
export function checkHostSubnets(pools: readonly string[], bridge: string, subnets: Iterable<HostSubnet>): string[] {
  const warnings: string[] = [];
  for (const { interfaceName, cidr } of subnets) {
    const host = findCidr(cidr);
    if (!host || interfaceName === bridge || isSingle(host)) continue;
    for (const pool of pools.map(parseCidr)) {
      if (sameCidr(pool, host)) {
        throw new PluginError(
          'NET_SUBNET_OVERLAP',
          `subnet ${formatCidr(pool)} is the one of this host's interface ${interfaceName}`,
          {
            hint: 'choose another --subnet',
          },
        );
      }
      if (cidrsOverlap(pool, host)) {
        warnings.push(
          `subnet ${formatCidr(pool)} overlaps ${formatCidr(host)} of this host's interface ${interfaceName}`,
        );
      }
    }
  }
  return warnings;
}

function overlap(one: readonly string[], other: readonly string[]): readonly [string, string] | undefined {
  for (const a of one) for (const b of other) if (cidrsOverlap(parseCidr(a), parseCidr(b))) return [a, b];
  return undefined;
}

function isSingle({ family, prefix }: Cidr): boolean {
  return prefix === (family === 4 ? 32 : 128);
}
