/** What is kept of a network. */

/** One entry of `IPAM.Config`, as the user gave it or as it was chosen. */
export interface IpamConfigEntry {
  readonly Subnet?: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

/** A pool held at the IPAM driver. */
export interface PoolRecord {
  readonly v6: boolean;
  readonly poolId: string;
  /** The IPAM driver's word for where the pool is from. */
  readonly addressSpace?: string;
  /** CIDR. */
  readonly pool: string;
  readonly subPool?: string;
  /** CIDR with the pool's prefix length. */
  readonly gateway?: string;
  /** name → CIDR. */
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface NetworkRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  /** `null` and `host` are the shim's own; every other one is a plugin. */
  readonly driver: string;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>>;
  readonly ipamConfig: readonly IpamConfigEntry[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly pools: readonly PoolRecord[];
}

/** Networks that are always there and cannot be removed. */
export const predefinedNames: readonly string[] = ['bridge', 'host', 'none'];

/** Networks without links of ours. */
export function isBuiltIn(network: NetworkRecord): boolean {
  return network.driver === 'null' || network.driver === 'host';
}
