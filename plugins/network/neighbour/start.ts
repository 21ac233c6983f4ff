/** The guard of addresses as the daemon wires it: one for all drivers whose containers are hosts of a LAN. */
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { AddressGuard } from './address-guard.ts';
import { announceNow } from './announce.ts';

export interface Neighbours extends NetworkPart {
  readonly guard: AddressGuard;
}

export function startNeighbours({ context, registry }: Pick<NetworkParts, 'context' | 'registry'>): Neighbours {
  const guard = new AddressGuard({
    log: context.log,
    defend: ({ endpointId, address }) => {
      const sandboxKey = registry.findEndpoint(endpointId)?.sandboxKey;
      if (sandboxKey !== undefined) announceNow({ sandboxKey, endpointId, addresses: [address] });
    },
  });
  return {
    guard,
    plugins: [],
    links: () => [],
    status: () => ({
      conflicts: guard.conflicts().map(({ address, endpointId, mac, other, since }) => ({
        address,
        endpointId: endpointId.slice(0, 12),
        mac,
        takenBy: other,
        since: new Date(since).toISOString(),
      })),
    }),
    stop: async () => guard.close(),
  };
}
