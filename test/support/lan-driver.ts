/** A driver on the LAN without the daemon around it, for kernels in which no engine runs. */
import type { RouteSocket } from '../../plugins/linux/index.ts';
import { LanDriver, type LanKind, type LanParts } from '../../plugins/network/lan/driver.ts';
import { LinkRemover } from '../../plugins/network/link/removal.ts';
import type { AddressGuard } from '../../plugins/network/neighbour/address-guard.ts';
import { NetworkRegistry } from '../../plugins/network/registry.ts';
import type { Store } from '../../plugins/store/store.ts';

export interface LanDriverOptions extends Partial<Pick<LanParts, 'registry' | 'services' | 'parentUsers'>> {
  readonly store: Store;
  readonly socket: RouteSocket;
  readonly guard: AddressGuard;
}

/** No DHCP, no engine that could have forgotten anything; what only bridges use is missing. */
export function makeLanDriver(kind: LanKind, options: LanDriverOptions): LanDriver {
  const parts: Omit<LanParts, 'context' | 'firewall' | 'publisher' | 'onNetworksChange'> = {
    registry: new NetworkRegistry(),
    services: { network: {}, endpoint: {} },
    parentUsers: () => [],
    ...options,
    remover: new LinkRemover(),
    leases: {
      findMtu: () => undefined,
      nameServers: () => [],
      isStandIn: () => false,
      parkOn: () => {},
      onChange: () => {},
    },
    isAbandoned: () => false,
    isForgotten: () => false,
    log: { info: () => {}, warn: () => {} },
  };
  return new LanDriver(kind, parts as LanParts);
}
