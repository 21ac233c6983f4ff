/**
 * What networks and endpoints exist in this process, whichever driver made them, and an event for each change.
 *
 * Drivers write it (at restore, before any socket opens, then verb by verb, after their record is on disk); DNS, metrics and
 * the control routes read it. It keeps nothing on disk and decides nothing: it is a view, and a listener that throws never
 * disturbs the driver that told it.
 */

/** One pool of a network. */
export interface RegistryPool {
  /** CIDR. */
  readonly pool: string;
  /** Bare IP of the gateway inside the pool; absent when the network has none. */
  readonly gateway?: string;
}

export interface RegistryNetwork {
  readonly networkId: string;
  /** The driver's name as users type it: `cleat-bridge`. */
  readonly driver: string;
  /** The `-o` options as given, those of DNS and other services (`cleat.dns…`) among them. */
  readonly options: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly pools: readonly RegistryPool[];
  /** Name servers that the LAN gave with the containers' addresses (DHCP). */
  readonly nameServers?: readonly string[];
  /** The host's interface on the network (a bridge, a macvlan shim); absent where the host has none. */
  readonly hostInterface?: string;
}

/**
 * created: exists, belongs to no sandbox yet; joined: handed to a sandbox (the interface gets its addresses a moment later);
 * left: taken out of it, about to be deleted.
 */
export type EndpointState = 'created' | 'joined' | 'left';

export interface RegistryEndpoint {
  readonly networkId: string;
  readonly endpointId: string;
  readonly state: EndpointState;
  /** Bare IPs, IPv4 first. */
  readonly addresses: readonly string[];
  /** Colon form. */
  readonly macAddress?: string;
  /** The endpoint's driver options (`driver-opt`) as given. */
  readonly options: Readonly<Record<string, string>>;
  /** When it came into this state, milliseconds since 1970. */
  readonly since?: number;
  /** Path of the sandbox's network namespace; present while joined. */
  readonly sandboxKey?: string;
  /** Whether that path has been seen from here: engines of 20.10 make it only after the join. */
  readonly sandboxSeen?: boolean;
  /** The endpoint's link on the host (`cv…`); absent where the driver leaves none (macvlan). */
  readonly hostInterface?: string;
}

export type RegistryEvent =
  | { readonly kind: 'network-added' | 'network-removed'; readonly network: RegistryNetwork }
  | {
      readonly kind: 'endpoint-added' | 'endpoint-changed' | 'endpoint-removed';
      readonly network: RegistryNetwork;
      readonly endpoint: RegistryEndpoint;
    };

export type RegistryListener = (event: RegistryEvent) => void;

export class NetworkRegistry {
  readonly #networks = new Map<string, RegistryNetwork>();
  readonly #endpoints = new Map<string, RegistryEndpoint>();
  /** networkId → its endpoints' IDs, so that listing one network does not walk them all. */
  readonly #members = new Map<string, Set<string>>();
  readonly #listeners = new Set<RegistryListener>();
  readonly #onListenerError: (error: unknown) => void;

  constructor(onListenerError: (error: unknown) => void = () => {}) {
    this.#onListenerError = onListenerError;
  }

  /** Calls `listener` for every later change; returns the function that ends it. What exists already is in the lists. */
  subscribe(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  networks(): RegistryNetwork[] {
    return [...this.#networks.values()];
  }

  findNetwork(networkId: string): RegistryNetwork | undefined {
    return this.#networks.get(networkId);
  }

  /** All endpoints, or those of one network. */
  endpoints(networkId?: string): RegistryEndpoint[] {
    if (networkId === undefined) return [...this.#endpoints.values()];
    return [...(this.#members.get(networkId) ?? [])].flatMap((id) => this.#endpoints.get(id) ?? []);
  }

  findEndpoint(endpointId: string): RegistryEndpoint | undefined {
    return this.#endpoints.get(endpointId);
  }

  /** Adds or replaces; a repeat with the same content is told again as `network-added`. */
  putNetwork(network: RegistryNetwork): void {
    this.#networks.set(network.networkId, network);
    this.#tell({ kind: 'network-added', network });
  }

  /** Removes the network and what is left of its endpoints; nothing when it is not there. */
  removeNetwork(networkId: string): void {
    const network = this.#networks.get(networkId);
    if (!network) return;
    for (const endpoint of this.endpoints(networkId)) this.removeEndpoint(endpoint.endpointId);
    this.#networks.delete(networkId);
    this.#members.delete(networkId);
    this.#tell({ kind: 'network-removed', network });
  }

  /** Adds or replaces. The network must be there: a driver puts it first. */
  putEndpoint(endpoint: RegistryEndpoint): void {
    const network = this.#networks.get(endpoint.networkId);
    if (!network) throw new Error(`registry: endpoint ${endpoint.endpointId} of unknown network ${endpoint.networkId}`);
    const kind = this.#endpoints.has(endpoint.endpointId) ? 'endpoint-changed' : 'endpoint-added';
    this.#endpoints.set(endpoint.endpointId, endpoint);
    let members = this.#members.get(endpoint.networkId);
    if (!members) {
      members = new Set();
      this.#members.set(endpoint.networkId, members);
    }
    members.add(endpoint.endpointId);
    this.#tell({ kind, network, endpoint });
  }

  /** Nothing when it is not there. */
  removeEndpoint(endpointId: string): void {
    const endpoint = this.#endpoints.get(endpointId);
    if (!endpoint) return;
    this.#endpoints.delete(endpointId);
    this.#members.get(endpoint.networkId)?.delete(endpointId);
    const network = this.#networks.get(endpoint.networkId);
    if (network) this.#tell({ kind: 'endpoint-removed', network, endpoint });
  }

  #tell(event: RegistryEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}
