/**
 * The verbs of cleat-macvlan and cleat-ipvlan: each container gets a link of its own on a parent interface and is a host of the
 * LAN. Nothing of it passes this host's firewall, so nothing is published and nothing routed here.
 *
 * Records of endpoints are not synced to the disk: a link does not survive what would lose them, the end of the machine.
 *
 * A crash leaves kernel and record on different sides of one another as with bridges; restore.ts brings them together.
 */
import { existsSync } from 'node:fs';
import { listAddresses } from '../../linux/netlink/address.ts';
import type { Link } from '../../linux/netlink/link.ts';
import { PluginError } from '../../sdk/errors.ts';
import type {
  CreateEndpointRequest,
  CreateNetworkRequest,
  EndpointInterface,
  EndpointRequest,
  JoinReply,
  JoinRequest,
  NetworkDriver,
  ProgramExternalConnectivityRequest,
} from '../../sdk/network-plugin.ts';
import { type OptionSchema, parseOptions } from '../../sdk/options.ts';
import { macFromAddress } from '../link/mac.ts';
import { containerEndName, networkKey } from '../link/names.ts';
import type { AddressGuard } from '../neighbour/address-guard.ts';
import { announceInside } from '../neighbour/announce.ts';
import type { NetworkParts } from '../parts.ts';
import type { RegistryEndpoint, RegistryNetwork } from '../registry.ts';
import { accessName, HostAccess } from './host-access.ts';
import { makeLink } from './link.ts';
import { endpointSchema, type LanOptions, type LinkMode, lanSchema } from './options.ts';
import { Parents, type ParentWish, parentName, splitVlan } from './parent.ts';
import { nextAddresses, planJoin, planLanNetwork } from './plan.ts';
import {
  type LanEndpointRecord,
  type LanNetworkRecord,
  type LanRecords,
  openLanRecords,
  openParentRecords,
} from './records.ts';
import { type ParentUser, refuseSharing } from './sharing.ts';

/** What tells the two drivers apart. */
export interface LanKind {
  readonly name: 'cleat-macvlan' | 'cleat-ipvlan';
  readonly kind: 'macvlan' | 'ipvlan';
  /** The driver's own options, beside those that both have. */
  readonly schema: OptionSchema;
  readMode(options: Readonly<Record<string, unknown>>): LinkMode;
}

/** What DHCP servers said, where addresses are from cleat-dhcp. `parent` is the name of the interface. */
export interface LeaseView {
  /** Bytes; of the address alone. */
  findMtu(parent: string, address: string): number | undefined;
  /** The name servers of all leases in these pools, without repetition. */
  nameServers(parent: string, pools: readonly string[]): readonly string[];
  /** Whether the gateway is none: the engine insisted on one, and routers announce themselves. */
  isStandIn(parent: string, gateway: string): boolean;
  /** The containers that had them are gone without their engine having said so. */
  parkOn(parent: string, addresses: readonly string[]): void;
  /** Called when leases have come, gone, or changed what came with them. */
  onChange(listener: () => void): void;
}

/** What follows from the record of a network. */
export interface LanNetwork {
  readonly record: LanNetworkRecord;
  readonly options: LanOptions;
  readonly mode: LinkMode;
  readonly wish: ParentWish;
}

export interface LanParts extends NetworkParts {
  /** Options of services on top of the network (DNS): allowed and checked here, read there. */
  readonly services: { readonly network: OptionSchema; readonly endpoint: OptionSchema };
  readonly guard: AddressGuard;
  readonly leases: LeaseView;
  /** Networks of both drivers on a parent, without the one that asks. */
  readonly parentUsers: (parent: string, except: string) => readonly ParentUser[];
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class LanDriver implements NetworkDriver {
  readonly capabilities = { scope: 'local', connectivityScope: 'local' } as const;
  readonly records: LanRecords;
  readonly parents: Parents;
  readonly hostAccess: HostAccess;
  readonly parts: LanParts;
  readonly kind: LanKind;
  /** Networks whose parent is not as it should be, and that this has been said of. */
  readonly waiting = new Set<string>();
  readonly #networks = new Map<string, LanNetwork>();

  constructor(kind: LanKind, parts: LanParts) {
    this.kind = kind;
    this.parts = parts;
    this.records = openLanRecords(parts.store, kind.kind);
    this.parents = new Parents(parts.socket, openParentRecords(parts.store));
    this.hostAccess = new HostAccess(parts.socket);
    for (const [networkId, record] of this.records.networks.entries()) {
      try {
        this.#networks.set(networkId, this.#read(record));
      } catch (error) {
        parts.log.warn({ err: error, network: networkId }, 'the record of a network is not understood');
      }
    }
  }

  async createNetwork(request: CreateNetworkRequest): Promise<void> {
    const known = this.records.networks.get(request.networkId);
    const network = this.#read(planLanNetwork(request, this.kind.name, known?.createdAt ?? new Date().toISOString()));
    const { record, options, mode, wish } = network;
    if (!known && wish.name === undefined && !request.internal)
      this.parts.log.info(
        { network: record.networkId },
        'a network without a parent: its containers reach each other only',
      );
    if (!known) refuseSharing(parentName(wish), mode, this.parts.parentUsers(parentName(wish), record.networkId));
    const parent = this.parents.ensure(wish);
    try {
      if (options.mtu !== undefined && options.mtu > parent.mtu) {
        throw new PluginError(
          'PROTO_OPTION',
          `com.docker.network.driver.mtu=${options.mtu} is more than the ${parent.mtu} of parent ${parent.name}`,
          { hint: `leave it away, or raise the parent's: ip link set ${parent.name} mtu ${options.mtu}` },
        );
      }
      this.records.networks.put(record.networkId, record);
      this.hostAccess.ensure(this.#accessPlan(network, parent.index));
    } catch (error) {
      if (!known) {
        this.records.networks.delete(record.networkId);
        this.hostAccess.remove(record.networkId);
        this.parents.release(wish);
      }
      throw error;
    }
    this.#networks.set(record.networkId, network);
    this.parts.registry.putNetwork(this.registryNetwork(network));
  }

  async deleteNetwork({ networkId }: { readonly networkId: string }): Promise<void> {
    const network = this.#networks.get(networkId);
    if (!network) return;
    for (const { endpointId } of this.endpointsOf(networkId)) await this.deleteEndpoint({ networkId, endpointId });
    // Links of containers that have just ended may still be going.
    await this.parts.remover.idle();
    this.hostAccess.remove(networkId);
    this.parents.release(network.wish);
    this.records.networks.delete(networkId);
    this.#networks.delete(networkId);
    this.waiting.delete(networkId);
    this.parts.registry.removeNetwork(networkId);
  }

  async createEndpoint(request: CreateEndpointRequest, signal: AbortSignal): Promise<EndpointInterface> {
    const network = this.network(request.networkId);
    this.#endpointOptions(request.options);
    const { address, addressIPv6, macAddress: givenMac } = request.interface;
    const macAddress = this.#chooseMac(givenMac, address ?? addressIPv6);
    const known = this.records.endpoints.get(request.endpointId);
    if (known && (known.address !== address || known.addressIPv6 !== addressIPv6)) {
      throw new PluginError(
        'NET_ENDPOINT_EXISTS',
        `endpoint ${request.endpointId.slice(0, 12)} exists with another address`,
      );
    }
    const reply = givenMac === undefined && macAddress !== undefined ? { macAddress } : {};
    if (known) return reply;
    const parent = this.parents.find(network.wish) ?? this.parents.ensure(network.wish);
    const record: LanEndpointRecord = {
      networkId: request.networkId,
      endpointId: request.endpointId,
      state: 'created',
      since: new Date().toISOString(),
      ...(address !== undefined && { address }),
      ...(addressIPv6 !== undefined && { addressIPv6 }),
      ...(macAddress !== undefined && { macAddress }),
      options: request.options,
    };
    // The only link of its parent: that of the container before must be gone.
    if (network.mode.mode === 'passthru') await this.parts.remover.idle();
    const asked = this.#askForDuplicates(network, record, parent, signal);
    try {
      this.makeLink(network, record, parent);
      await asked;
      this.#putEndpoint(record);
    } catch (error) {
      asked.catch(() => {});
      await this.parts.remover.remove(containerEndName(record.endpointId));
      throw error;
    }
    this.holdAddresses(network, record, parent);
    this.parts.registry.putEndpoint(this.registryEndpoint(record));
    this.#updateAccess(network);
    return reply;
  }

  async deleteEndpoint({ endpointId }: EndpointRequest): Promise<void> {
    const record = this.records.endpoints.get(endpointId);
    if (record) this.parts.store.unsynced(() => this.records.endpoints.delete(endpointId));
    this.parts.guard.release(endpointId);
    this.parts.registry.removeEndpoint(endpointId);
    const network = record && this.#networks.get(record.networkId);
    if (network) this.#updateAccess(network);
    // Nobody needs to wait for the kernel to let go of it: it is down, and no record knows it, so it is swept after a crash.
    this.parts.remover
      .remove(containerEndName(endpointId))
      .catch((error: unknown) =>
        this.parts.log.warn({ err: error, endpoint: endpointId }, 'a link could not be removed'),
      );
  }

  async endpointOperInfo({ endpointId }: EndpointRequest): Promise<Readonly<Record<string, unknown>>> {
    const record = this.records.endpoints.get(endpointId);
    if (!record) return {};
    const parent = parentName(this.network(record.networkId).wish);
    return { parent, ...(record.macAddress !== undefined && { macAddress: record.macAddress }) };
  }

  async join({ networkId, endpointId, sandboxKey }: JoinRequest): Promise<JoinReply> {
    const network = this.network(networkId);
    const endpoint = this.endpoint(endpointId);
    const { interfaceName } = this.#endpointOptions(endpoint.options);
    this.parts.guard.check(endpointId);
    const joined = this.putState(endpoint, { state: 'joined', sandboxKey, sandboxSeen: existsSync(sandboxKey) });
    // The engine sets the link up only after this answer; when it has, the neighbours are told.
    announceInside({ sandboxKey, endpointId, addresses: addressesOf(joined) }, (insideName) => {
      const now = this.records.endpoints.get(endpointId);
      if (now?.state === 'joined') this.#putEndpoint({ ...now, insideName });
    });
    return this.joinReply(network, joined, interfaceName);
  }

  /** The engine takes the link out only after the answer, so it is not touched here. */
  async leave({ endpointId }: EndpointRequest): Promise<void> {
    const endpoint = this.records.endpoints.get(endpointId);
    if (endpoint && endpoint.state !== 'left') this.putState(endpoint, { state: 'left' });
  }

  async programExternalConnectivity({ portBindings }: ProgramExternalConnectivityRequest): Promise<void> {
    if (portBindings.length === 0) return;
    const ports = portBindings.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`).join(', ');
    throw new PluginError(
      'NET_PORTS_UNSUPPORTED',
      `-p cannot publish ${ports} on a ${this.kind.name} network: its containers are hosts of the LAN, with every port open at their own address`,
      {
        hint: 'leave -p away and use the address of the container',
      },
    );
  }

  async revokeExternalConnectivity(): Promise<void> {}

  async discoverNew(): Promise<void> {}

  async discoverDelete(): Promise<void> {}

  network(networkId: string): LanNetwork {
    const network = this.#networks.get(networkId);
    if (network) return network;
    throw new PluginError(
      'NET_NETWORK_UNKNOWN',
      `${this.kind.name} has no record of the network ${networkId.slice(0, 12)}`,
      { hint: 'its state folder may have been lost: remove the network and create it again' },
    );
  }

  networks(): LanNetwork[] {
    return [...this.#networks.values()];
  }

  endpoint(endpointId: string): LanEndpointRecord {
    const record = this.records.endpoints.get(endpointId);
    if (record) return record;
    throw new PluginError(
      'NET_ENDPOINT_UNKNOWN',
      `${this.kind.name} has no record of the endpoint ${endpointId.slice(0, 12)}`,
      { hint: 'start the container again' },
    );
  }

  endpointsOf(networkId: string): LanEndpointRecord[] {
    return this.records.endpoints
      .entries()
      .map(([, record]) => record)
      .filter((record) => record.networkId === networkId);
  }

  /** Whether a network stands on the link: as its parent, what its VLAN is made on, or the host's own link on it. */
  needsLink(name: string): boolean {
    return this.networks().some(({ record, wish }) => {
      const parent = parentName(wish);
      return name === parent || name === accessName(record.networkId) || name === splitVlan(parent)?.base;
    });
  }

  makeLink({ options, mode, wish }: LanNetwork, record: LanEndpointRecord, parent: Link): void {
    const { endpointId, macAddress: mac } = record;
    const leased = addressesOf(record).flatMap((address) => this.parts.leases.findMtu(parentName(wish), address) ?? []);
    const mtu = options.mtu ?? Math.min(...leased, parent.mtu);
    makeLink(this.parts.socket, { endpointId, mode, parent: parent.index, mtu, ...(mac !== undefined && { mac }) });
  }

  joinReply(
    { record, options, mode, wish }: LanNetwork,
    endpoint: LanEndpointRecord,
    interfaceName?: string,
  ): JoinReply {
    const gateways = (gateway: string) => !this.parts.leases.isStandIn(parentName(wish), gateway);
    return planJoin(record, endpoint, { prefix: options.containerPrefix, interfaceName }, mode, gateways);
  }

  /** From now on others who claim its addresses are told of. */
  holdAddresses(network: LanNetwork, record: LanEndpointRecord, parent: Link): void {
    if (!asksForDuplicates(network)) return;
    for (const address of addressesOf(record)) {
      this.parts.guard.hold(parent.index, {
        address,
        mac: record.macAddress ?? parent.mac,
        endpointId: record.endpointId,
      });
    }
  }

  putState(
    endpoint: LanEndpointRecord,
    change: Pick<LanEndpointRecord, 'state' | 'sandboxKey' | 'sandboxSeen'>,
  ): LanEndpointRecord {
    const record = { ...endpoint, ...change, since: new Date().toISOString() };
    this.#putEndpoint(record);
    this.parts.registry.putEndpoint(this.registryEndpoint(record));
    return record;
  }

  #putEndpoint(record: LanEndpointRecord): void {
    this.parts.store.unsynced(() => this.records.endpoints.put(record.endpointId, record));
  }

  registryNetwork({ record, wish }: LanNetwork): RegistryNetwork {
    const nameServers = this.parts.leases.nameServers(
      parentName(wish),
      record.pools.map(({ pool }) => pool),
    );
    return {
      networkId: record.networkId,
      driver: this.kind.name,
      options: record.options,
      internal: record.internal,
      pools: record.pools,
      ...(nameServers.length > 0 && { nameServers }),
    };
  }

  /** Leases bring name servers, which the networks' own DNS asks. */
  refreshNameServers(): void {
    const { registry } = this.parts;
    for (const network of this.#networks.values()) {
      const next = this.registryNetwork(network);
      const told = registry.findNetwork(next.networkId);
      if (told !== undefined && String(told.nameServers ?? '') !== String(next.nameServers ?? ''))
        registry.putNetwork(next);
    }
  }

  registryEndpoint(record: LanEndpointRecord): RegistryEndpoint {
    const { networkId, endpointId, state, macAddress, options, sandboxKey, sandboxSeen, since } = record;
    return {
      networkId,
      endpointId,
      state,
      since: Date.parse(since),
      addresses: addressesOf(record),
      ...(macAddress !== undefined && { macAddress }),
      options,
      ...(state === 'joined' && sandboxKey !== undefined && { sandboxKey }),
      ...(sandboxSeen !== undefined && { sandboxSeen }),
    };
  }

  /** Brings the host's own link and routes of a network to what its endpoints are. */
  restoreAccess(network: LanNetwork): void {
    const parent = this.parents.find(network.wish);
    if (parent === undefined) return;
    this.hostAccess.ensure(this.#accessPlan(network, parent.index));
    this.#updateAccess(network);
  }

  #updateAccess({ record, options }: LanNetwork): void {
    if (options.hostAccess === 'off') return;
    const endpoints = this.parts.registry.endpoints(record.networkId);
    this.hostAccess.setContainers(
      record.networkId,
      endpoints.flatMap(({ addresses }) => addresses),
    );
  }

  #accessPlan({ record, options, mode }: LanNetwork, parent: number) {
    return {
      networkId: record.networkId,
      access: record.internal ? ('off' as const) : options.hostAccess,
      mode,
      parent,
      pools: record.pools.map(({ pool }) => pool),
    };
  }

  #read(record: LanNetworkRecord): LanNetwork {
    const schema = { ...this.parts.services.network, ...lanSchema, ...this.kind.schema };
    const options = parseOptions(schema, record.options, { driver: this.kind.name }) as LanOptions &
      Readonly<Record<string, unknown>>;
    const wish: ParentWish = { networkId: record.networkId, name: options.parent || undefined, kind: this.kind.kind };
    return { record, options, mode: this.kind.readMode(options), wish };
  }

  #endpointOptions(options: Readonly<Record<string, string>>) {
    return parseOptions({ ...this.parts.services.endpoint, ...endpointSchema }, options, {
      driver: `${this.kind.name} endpoint`,
    });
  }

  async #askForDuplicates(
    network: LanNetwork,
    record: LanEndpointRecord,
    { index, mac, name }: Link,
    signal: AbortSignal,
  ): Promise<void> {
    if (!asksForDuplicates(network)) return;
    const wanted = addressesOf(record);
    // Nobody hears his own question.
    const { hostAccess } = network.options;
    const own = [
      ...listAddresses(this.parts.socket, { link: index }).map(({ address }) => address),
      ...(typeof hostAccess === 'object' ? [hostAccess.address] : []),
    ].find((address) => wanted.includes(address));
    if (own !== undefined) {
      throw new PluginError('NET_ADDRESS_DUPLICATE', `address ${own} is this host's own, on ${name}`, {
        hint: `create the network with --aux-address host=${own} or an --ip-range apart from it`,
      });
    }
    for (const address of wanted) this.#refuseHeld(address, record.networkId, index);
    const next = nextAddresses([record.address, record.addressIPv6]);
    await this.parts.guard.ask({ link: index, mac }, wanted, next, signal);
  }

  /** Within one network the IPAM driver sees to it; another network of the same parent has one of its own. */
  #refuseHeld(address: string, networkId: string, parent: number): void {
    const { guard, registry, isAbandoned } = this.parts;
    const holder = registry.findEndpoint(guard.holder(parent, address) ?? '');
    if (holder === undefined || holder.networkId === networkId || isAbandoned(holder.endpointId)) return;
    throw new PluginError(
      'NET_ADDRESS_DUPLICATE',
      `address ${address} is in use on this host, by the endpoint ${holder.endpointId.slice(0, 12)} of the network ${networkKey(holder.networkId)} on the same parent`,
      { hint: 'choose another with --ip, or give each network an --ip-range of its own' },
    );
  }

  #chooseMac(given: string | undefined, address: string | undefined): string | undefined {
    if (this.kind.kind === 'macvlan')
      return given ?? (address === undefined ? undefined : macFromAddress(address.split('/')[0] ?? address));
    if (given === undefined) return undefined;
    throw new PluginError('PROTO_UNSUPPORTED', 'ipvlan links all have the MAC address of their parent', {
      hint: 'leave --mac-address away, or use -d cleat-macvlan',
    });
  }
}

/** Where hosts find each other by ARP: not on a link without a wire, and not behind an ipvlan that routes. */
function asksForDuplicates({ options, mode, wish }: LanNetwork): boolean {
  return options.duplicateProbe === 'on' && wish.name !== undefined && mode.mode !== 'l3' && mode.mode !== 'l3s';
}

/** Bare. */
export function addressesOf({ address, addressIPv6 }: Pick<LanEndpointRecord, 'address' | 'addressIPv6'>): string[] {
  return [address, addressIPv6].flatMap((cidr) => (cidr === undefined ? [] : (cidr.split('/')[0] ?? [])));
}
