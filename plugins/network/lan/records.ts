/** What macvlan and ipvlan keep on disk: what the engine said; the rest is computed again. */
import type { Store, Table } from '../../store/store.ts';

export interface LanPool {
  /** CIDR. */
  readonly pool: string;
  /** Bare IP of the router on the LAN. */
  readonly gateway?: string;
}

export interface LanNetworkRecord {
  readonly networkId: string;
  readonly options: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly pools: readonly LanPool[];
  /** ISO 8601. */
  readonly createdAt: string;
}

export interface LanEndpointRecord {
  readonly networkId: string;
  readonly endpointId: string;
  readonly state: 'created' | 'joined' | 'left';
  /** When it came into this state, ISO 8601. */
  readonly since: string;
  /** CIDR. */
  readonly address?: string;
  readonly addressIPv6?: string;
  /** Absent for ipvlan, whose links all have the parent's. */
  readonly macAddress?: string;
  readonly options: Readonly<Record<string, string>>;
  readonly sandboxKey?: string;
  /** The sandbox's path was there when it joined, as seen from here. */
  readonly sandboxSeen?: boolean;
  /** Its name inside, once it was seen there. */
  readonly insideName?: string;
}

/** A VLAN link or a parent of an internal network that we made: taken away when the last network leaves it. */
export interface ParentRecord {
  readonly name: string;
  readonly networkIds: readonly string[];
}

export interface LanRecords {
  readonly networks: Table<LanNetworkRecord>;
  /** By endpoint id. */
  readonly endpoints: Table<LanEndpointRecord>;
}

/** `kind` keeps the two drivers' records apart. */
export function openLanRecords(store: Store, kind: 'macvlan' | 'ipvlan'): LanRecords {
  return {
    networks: store.table<LanNetworkRecord>(`${kind}.networks`, { version: 1 }),
    endpoints: store.table<LanEndpointRecord>(`${kind}.endpoints`, { version: 1 }),
  };
}

/** Shared by both drivers: they may not share a parent, but both make VLANs. */
export function openParentRecords(store: Store): Table<ParentRecord> {
  return store.table<ParentRecord>('lan.parents', { version: 1 });
}
