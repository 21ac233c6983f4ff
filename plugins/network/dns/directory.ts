/**
 * Keeps the zones of all networks and the views on them up to date: from the registry (networks, endpoints, addresses, options) and from
 * engines (names, aliases, health). Every change reaches the zone, and empties the tables of the views that see it, before the call that
 * told of it returns.
 */
import type { Logger } from 'pino';
import { type Cidr, findCidr } from '../address/cidr.ts';
import type { EngineContainer } from '../engine/container.ts';
import type { EngineEvent, EngineWatch } from '../engine/watch.ts';
import type { NetworkRegistry, RegistryEndpoint, RegistryEvent, RegistryNetwork } from '../registry.ts';
import { type AddressNames, endpointContribution, networkContribution } from './contribution.ts';
import type { Forwarder } from './forwarder.ts';
import type { Forwarders } from './forwarders.ts';
import { type DnsNetworkOptions, findName, readNetworkOptions } from './options.ts';
import type { ResolvConf } from './resolv-conf.ts';
import { Stats } from './stats.ts';
import { View } from './view.ts';
import { type Contribution, Zone } from './zone.ts';

export interface DnsNetwork {
  readonly network: RegistryNetwork;
  readonly options: DnsNetworkOptions;
  readonly zone: Zone;
  readonly stats: Stats;
}

export interface DirectoryParts {
  readonly registry: NetworkRegistry;
  readonly engines: readonly EngineWatch[];
  readonly forwarders: Forwarders;
  readonly log: Logger;
  /** The IPAM, where engines tell it names. */
  readonly addresses?: AddressNames;
}

export class Directory {
  readonly #parts: DirectoryParts;
  readonly #networks = new Map<string, DnsNetwork>();
  /** The ids of a view's networks, in order, to the view. */
  readonly #views = new Map<string, View>();
  readonly #viewsOf = new Map<string, Set<View>>();
  /** Engine's container by endpoint id and by the path of its sandbox. */
  readonly #byEndpoint = new Map<string, EngineContainer>();
  readonly #bySandbox = new Map<string, EngineContainer>();
  readonly #networkNames = new Map<string, string>();
  readonly #listeners = new Set<(network: DnsNetwork) => void>();
  readonly #viewListeners = new Set<() => void>();
  readonly #nobody = new Stats();
  #hostSearch: readonly string[];

  constructor(parts: DirectoryParts, conf: ResolvConf) {
    this.#parts = parts;
    this.#hostSearch = conf.search;
    for (const network of parts.registry.networks()) this.#putNetwork(network);
    for (const endpoint of parts.registry.endpoints()) this.#putEndpoint(endpoint);
    parts.registry.subscribe((event) => this.#onRegistry(event));
    for (const engine of parts.engines) engine.subscribe((event) => this.#onEngine(event));
  }

  find(networkId: string): DnsNetwork | undefined {
    return this.#networks.get(networkId);
  }

  networks(): DnsNetwork[] {
    return [...this.#networks.values()];
  }

  nameOf(networkId: string): string | undefined {
    return this.#networkNames.get(networkId);
  }

  containerOf(endpoint: RegistryEndpoint): EngineContainer | undefined {
    return (
      this.#byEndpoint.get(endpoint.endpointId) ??
      (endpoint.sandboxKey === undefined ? undefined : this.#bySandbox.get(endpoint.sandboxKey))
    );
  }

  /**
   * What somebody on these networks sees; the first is the one that the question came in on. `apart` names a sandbox whose outside
   * names are partly the engine's to answer: its table is not shared.
   */
  viewOf(networkIds: readonly string[], apart = ''): View {
    const key = [...networkIds, apart].join(' ');
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const members = networkIds.flatMap((id) => this.#networks.get(id) ?? []);
    const first = members[0];
    const view = new View({
      label: networkIds.map((id) => this.nameOf(id) ?? id.slice(0, 12)).join('+'),
      zones: members.map(({ zone }) => zone),
      forwarder: this.#parts.forwarders.for(
        first?.options ?? { upstreams: [], split: {} },
        first?.network.nameServers ?? [],
      ),
      stats: first?.stats ?? this.#nobody,
    });
    this.#views.set(key, view);
    for (const id of networkIds) {
      const views = this.#viewsOf.get(id) ?? new Set();
      this.#viewsOf.set(id, views.add(view));
    }
    return view;
  }

  /** Names of what is no endpoint of this host; an empty contribution takes them away. Nothing while the network is unknown. */
  contribute(networkId: string, contributions: ReadonlyMap<string, Contribution>): void {
    const entry = this.#networks.get(networkId);
    if (entry === undefined) return;
    for (const [contributor, contribution] of contributions) entry.zone.put(contributor, contribution);
    this.#changed(networkId);
  }

  /** Views are made anew: a holder asks again. Called when what a view is made of has changed, not its zones. */
  onViewsChanged(listener: () => void): void {
    this.#viewListeners.add(listener);
  }

  /** A network's names have changed. */
  onZoneChanged(listener: (network: DnsNetwork) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The host's resolv.conf has changed: other servers, other search domains. */
  setHost(conf: ResolvConf): void {
    this.#parts.forwarders.setHost(conf);
    this.#hostSearch = conf.search;
    for (const { zone, options, network } of this.#networks.values())
      zone.suffixes = this.#suffixesOf(network, options);
    this.renewViews();
  }

  /** Makes every view anew, with the forwarder that holds now. */
  renewViews(): void {
    this.#views.clear();
    this.#viewsOf.clear();
    for (const listener of this.#viewListeners) listener();
    const used = new Set<Forwarder>([...this.#views.values()].map((view) => view.forwarder));
    this.#parts.forwarders.keepOnly(used);
  }

  #onRegistry(event: RegistryEvent): void {
    switch (event.kind) {
      case 'network-added':
        this.#putNetwork(event.network);
        break;
      case 'network-removed':
        this.#networks.delete(event.network.networkId);
        this.renewViews();
        break;
      case 'endpoint-added':
      case 'endpoint-changed':
        this.#putEndpoint(event.endpoint);
        break;
      case 'endpoint-removed':
        this.#removeEndpoint(event.endpoint);
        break;
    }
  }

  #putNetwork(network: RegistryNetwork): void {
    let options: DnsNetworkOptions;
    try {
      options = readNetworkOptions(network.options);
    } catch (error) {
      this.#parts.log.error(
        { err: error, network: network.networkId },
        'the DNS options of this network are not understood; defaults hold',
      );
      options = readNetworkOptions({});
    }
    const before = this.#networks.get(network.networkId);
    const zone = before?.zone ?? new Zone(network.networkId);
    // On a LAN (macvlan) the pool has other hosts in it, whose names the LAN's own servers know.
    const pools = network.hostInterface === undefined ? [] : network.pools;
    zone.pools = pools.map(({ pool }) => findCidr(pool)).filter((pool): pool is Cidr => pool !== undefined);
    zone.domain = options.domain;
    zone.suffixes = this.#suffixesOf(network, options);
    zone.settings = {
      ttl: options.ttl,
      negativeTtl: options.negativeTtl,
      forwardSingleLabels: options.singleLabels === 'forward',
      localFirst: options.localFirst,
      forward: options.external === 'on' || (options.external === 'auto' && !network.internal),
    };
    zone.put('network', networkContribution(network, options));
    const entry: DnsNetwork = { network, options, zone, stats: before?.stats ?? new Stats() };
    this.#networks.set(network.networkId, entry);
    const outside = (one: DnsNetwork) => JSON.stringify([one.options, one.network.nameServers]);
    if (before === undefined || outside(before) !== outside(entry)) this.renewViews();
    else this.#changed(network.networkId);
  }

  #suffixesOf(network: RegistryNetwork, options: DnsNetworkOptions): readonly string[] {
    const search = options.search.length === 0 ? this.#hostSearch : options.search.filter((name) => name !== 'none');
    const all = [options.domain, this.#networkNames.get(network.networkId), ...options.suffixes, ...search];
    return [...new Set(all.map((name) => (name === undefined ? undefined : findName(name))))].filter(
      (name) => name !== undefined,
    );
  }

  #putEndpoint(endpoint: RegistryEndpoint): void {
    const entry = this.#networks.get(endpoint.networkId);
    if (entry === undefined) return;
    const name = this.#networkNames.get(endpoint.networkId);
    entry.zone.put(
      endpoint.endpointId,
      endpointContribution(
        endpoint,
        this.containerOf(endpoint),
        entry.options,
        name,
        this.#nameByAddress(entry.network, endpoint),
      ),
    );
    this.#changed(endpoint.networkId);
  }

  #nameByAddress({ pools }: RegistryNetwork, { addresses }: RegistryEndpoint): string | undefined {
    const source = this.#parts.addresses;
    if (source === undefined) return undefined;
    for (const { pool } of pools) {
      for (const address of addresses) {
        const name = source.nameOf(pool, address);
        if (name !== undefined) return name;
      }
    }
    return undefined;
  }

  #removeEndpoint(endpoint: RegistryEndpoint): void {
    this.#byEndpoint.delete(endpoint.endpointId);
    // On a container that stays on other networks, the endpoint there is still known by its own id.
    const { sandboxKey } = endpoint;
    if (sandboxKey !== undefined) {
      this.#bySandbox.delete(sandboxKey);
      for (const [key, view] of this.#views) {
        if (!key.endsWith(` ${sandboxKey}`)) continue;
        this.#views.delete(key);
        for (const views of this.#viewsOf.values()) views.delete(view);
      }
    }
    this.#networks.get(endpoint.networkId)?.zone.remove(endpoint.endpointId);
    this.#changed(endpoint.networkId);
  }

  #changed(networkId: string): void {
    for (const view of this.#viewsOf.get(networkId) ?? []) view.forget();
    const entry = this.#networks.get(networkId);
    if (entry === undefined) return;
    for (const listener of this.#listeners) listener(entry);
  }

  #onEngine(event: EngineEvent): void {
    if (event.kind === 'network' || event.kind === 'network-removed') {
      this.#nameNetwork(event.network.id, event.kind === 'network' ? event.network.name : undefined);
      return;
    }
    if (event.kind !== 'container' && event.kind !== 'container-removed') return;
    const { container } = event;
    const gone = event.kind === 'container-removed';
    if (container.sandboxKey !== '') {
      if (gone) this.#bySandbox.delete(container.sandboxKey);
      else this.#bySandbox.set(container.sandboxKey, container);
    }
    for (const { endpointId, networkId } of container.networks) {
      const endpoint = this.#parts.registry.findEndpoint(endpointId);
      if (endpointId === '' || !this.#networks.has(networkId)) continue;
      if (gone) this.#byEndpoint.delete(endpointId);
      else this.#byEndpoint.set(endpointId, container);
      if (endpoint !== undefined) this.#putEndpoint(endpoint);
    }
  }

  #nameNetwork(networkId: string, name: string | undefined): void {
    if (this.#networkNames.get(networkId) === name) return;
    if (name === undefined) this.#networkNames.delete(networkId);
    else this.#networkNames.set(networkId, name);
    const entry = this.#networks.get(networkId);
    if (entry === undefined) return;
    entry.zone.suffixes = this.#suffixesOf(entry.network, entry.options);
    for (const endpoint of this.#parts.registry.endpoints(networkId)) this.#putEndpoint(endpoint);
    this.renewViews();
  }
}
