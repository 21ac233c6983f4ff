/** Published ports on disk: what every endpoint holds, as it was given out, so that a restart gives out nothing new. */
import type { Store, Table } from '../../store/store.ts';
import type { PublishedPort } from './port-binding.ts';

export interface PortsRecord {
  readonly networkId: string;
  readonly endpointId: string;
  /** Digest of what was asked for: the same request again is answered by what is there. */
  readonly asked: string;
  readonly ports: readonly PublishedPort[];
}

/** By endpoint id. */
export function openPortsRecords(store: Store): Table<PortsRecord> {
  return store.table<PortsRecord>('publish.ports', { version: 1 });
}
