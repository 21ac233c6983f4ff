/**
 * What cleat-bridge keeps on disk. A record holds what the engine said; what follows from it (rules, names) is computed again,
 * so that a newer version can do better without a migration.
 */
import type { Store, Table } from '../../store/store.ts';

export interface PoolRecord {
  /** CIDR. */
  readonly pool: string;
  /** The bridge's address in the pool, with prefix length. */
  readonly gateway?: string;
  /** Bare IP that containers use as gateway when it is not the bridge: Docker's `DefaultGatewayIPv4` aux address. */
  readonly otherGateway?: string;
}

export interface NetworkRecord {
  readonly networkId: string;
  readonly options: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly enableIPv6: boolean;
  readonly pools: readonly PoolRecord[];
  /** false: the bridge was there before the network, and stays untouched. */
  readonly madeByUs: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  /**
   * false: the daemon ended before it can have answered, so the engine may not know the network. It stays, for the answer may
   * have got through, but gives way to a network with the same subnet or bridge.
   */
  readonly confirmed: boolean;
}

export interface EndpointRecord {
  readonly networkId: string;
  readonly endpointId: string;
  readonly state: 'created' | 'joined';
  /** When it came into this state, ISO 8601. */
  readonly since: string;
  /** CIDR. */
  readonly address?: string;
  readonly addressIPv6?: string;
  readonly macAddress: string;
  readonly options: Readonly<Record<string, string>>;
  readonly sandboxKey?: string;
  /** The sandbox's path has been seen from here, at the join or later: if it is not there any more, the sandbox is gone. */
  readonly sandboxSeen?: boolean;
}

export interface BridgeRecords {
  readonly networks: Table<NetworkRecord>;
  /** By endpoint id. */
  readonly endpoints: Table<EndpointRecord>;
}

/** `kind`: each driver that bridges has records of its own. */
export function openBridgeRecords(store: Store, kind: 'bridge' | 'overlay' = 'bridge'): BridgeRecords {
  return {
    networks: store.table<NetworkRecord>(`${kind}.networks`, { version: 1 }),
    endpoints: store.table<EndpointRecord>(`${kind}.endpoints`, { version: 1 }),
  };
}
