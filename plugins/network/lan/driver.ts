/**
 * The verbs of cleat-macvlan and cleat-ipvlan: each container gets a link of its own on a parent interface and is a host of the
 * LAN. Nothing of it passes this host's firewall, so nothing is published and nothing routed here.
 *
 * A crash leaves kernel and record on different sides of one another as with bridges; restore.ts brings them together.
 */
import { existsSync } from 'node:fs';
import { isKernelError } from '../../linux/errors.ts';
import { changeLink, createLink, findLink } from '../../linux/netlink/link.ts';
import type { Request } from '../../linux/netlink/socket.ts';
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
import { containerEndName, endpointAlias, networkKey } from '../link/names.ts';
import type { NetworkParts } from '../parts.ts';
import type { RegistryEndpoint, RegistryNetwork } from '../registry.ts';
import { announceInside } from './announce.ts';
import { probeDuplicates } from './duplicate-probe.ts';
import { HostAccess } from './host-access.ts';
import { endpointSchema, type LanOptions, type LinkMode, lanSchema } from './options.ts';
import { Parents, type ParentWish, parentName } from './parent.ts';
import { planJoin, planLanNetwork } from './plan.ts';
import {
  type LanEndpointRecord,
  type LanNetworkRecord,
  type LanRecords,
  openLanRecords,
  openParentRecords,
} from './records.ts';

/** What tells the two drivers apart. */
export interface LanKind {
  readonly name: 'cleat-macvlan' | 'cleat-ipvlan';
  readonly kind: 'macvlan' | 'ipvlan';
  /** The driver's own options, beside those that both have. */
  readonly schema: OptionSchema;
  readMode(options: Readonly<Record<string, unknown>>): LinkMode;
}

export interface LanParts extends NetworkParts {
  /** Options of services on top of the network (DNS): allowed and checked here, read there. */
  readonly services: { readonly network: OptionSchema; readonly endpoint: OptionSchema };
  /** What a DHCP server said of an address, where cleat-dhcp got it. */
  readonly findLease: (address: string) => { readonly mtu?: number } | undefined;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class LanDriver implements NetworkDriver {
  readonly capabilities = { scope: 'local', connectivityScope: 'local' } as const;
  readonly records: LanRecords;
  readonly parents: Parents;
  readonly hostAccess: HostAccess;
  readonly parts: LanParts;
  readonly kind: LanKind;

  constructor(kind: LanKind, parts: LanParts) {
    this.kind = kind;
    this.parts = parts;
    this.records = openLanRecords(parts.store, kind.kind);
    this.parents = new Parents(parts.socket, openParentRecords(parts.store));
    this.hostAccess = new HostAccess(parts.socket);
  }

  async createNetwork(request: CreateNetworkRequest): Promise<void> {
    const known = this.records.networks.get(request.networkId);
    const record = planLanNetwork(request, this.kind.name, known?.createdAt ?? new Date().toISOString());
    const { mode } = this.options(record);
    if (!known) this.#refuseSharing(record, mode);
    const parent = this.parents.ensure(this.wish(record));
    try {
      this.records.networks.put(record.networkId, record);
      this.hostAccess.ensure(this.#accessPlan(record, parent.index));
    } catch (error) {
      if (!known) {
        this.records.networks.delete(record.networkId);
        this.hostAccess.remove(record.networkId);
        this.parents.release(this.wish(record));
      }
      throw error;
    }
    this.parts.registry.putNetwork(this.registryNetwork(record));
  }

  async deleteNetwork({ networkId }: { readonly networkId: string }): Promise<void> {
    const record = this.records.networks.get(networkId);
    if (!record) return;
    for (const { endpointId } of this.endpointsOf(networkId)) await this.deleteEndpoint({ networkId, endpointId });
    this.hostAccess.remove(networkId);
    this.parents.release(this.wish(record));
    this.records.networks.delete(networkId);
    this.parts.registry.removeNetwork(networkId);
  }

  async createEndpoint(request: CreateEndpointRequest, signal: AbortSignal): Promise<EndpointInterface> {
    const network = this.network(request.networkId);
    parseOptions({ ...this.parts.services.endpoint, ...endpointSchema }, request.options, {
      driver: `${this.kind.name} endpoint`,
    });
    const { address, addressIPv6, macAddress: givenMac } = request.interface;
    const first = address ?? addressIPv6;
    const macAddress = this.#chooseMac(givenMac, first);
    const known = this.records.endpoints.get(request.endpointId);
    if (known && (known.address !== address || known.addressIPv6 !== addressIPv6)) {
      throw new PluginError(
        'NET_ENDPOINT_EXISTS',
        `endpoint ${request.endpointId.slice(0, 12)} exists with another address`,
      );
    }
    const reply = givenMac === undefined && macAddress !== undefined ? { macAddress } : {};
    if (known) return reply;
    const { options, mode } = this.options(network);
    const parent = this.parents.ensure(this.wish(network));
    const addresses = [address, addressIPv6].filter((cidr) => cidr !== undefined);
    if (options.duplicateProbe === 'on' && !network.internal) {
      await probeDuplicates({ link: parent.index, mac: parent.mac, addresses: addresses.map(bare) }, signal);
    }
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
    const leased = address === undefined ? undefined : this.parts.findLease(bare(address))?.mtu;
    this.makeLink(record, mode, parent.index, options.mtu ?? Math.min(leased ?? parent.mtu, parent.mtu));
    try {
      this.records.endpoints.put(record.endpointId, record);
    } catch (error) {
      await this.parts.remover.remove(containerEndName(record.endpointId));
      throw error;
    }
    this.parts.registry.putEndpoint(this.registryEndpoint(record));
    this.#updateAccess(network);
    return reply;
  }

  async deleteEndpoint({ endpointId }: EndpointRequest): Promise<void> {
    const record = this.records.endpoints.get(endpointId);
    this.records.endpoints.delete(endpointId);
    this.parts.registry.removeEndpoint(endpointId);
    const network = record && this.records.networks.get(record.networkId);
    if (network) this.#updateAccess(network);
    await this.parts.remover.remove(containerEndName(endpointId));
  }

  async endpointOperInfo({ endpointId }: EndpointRequest): Promise<Readonly<Record<string, unknown>>> {
    const record = this.records.endpoints.get(endpointId);
    if (!record) return {};
    const parent = parentName(this.wish(this.network(record.networkId)));
    return { parent, ...(record.macAddress !== undefined && { macAddress: record.macAddress }) };
  }

  async join({ networkId, endpointId, sandboxKey }: JoinRequest): Promise<JoinReply> {
    const network = this.network(networkId);
    const endpoint = this.endpoint(endpointId);
    const { options, mode } = this.options(network);
    const { interfaceName } = parseOptions({ ...this.parts.services.endpoint, ...endpointSchema }, endpoint.options, {
      driver: `${this.kind.name} endpoint`,
    });
    const joined = this.putState(endpoint, { state: 'joined', sandboxKey, sandboxSeen: existsSync(sandboxKey) });
    // The engine sets the link up only after this answer; when it has, the neighbours are told.
    announceInside(sandboxKey, joined, (insideName) => {
      const now = this.records.endpoints.get(endpointId);
      if (now?.state === 'joined') this.records.endpoints.put(endpointId, { ...now, insideName });
    });
    return planJoin(network, joined, { prefix: options.containerPrefix, interfaceName }, mode);
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

  network(networkId: string): LanNetworkRecord {
    const record = this.records.networks.get(networkId);
    if (record) return record;
    throw new PluginError(
      'NET_NETWORK_UNKNOWN',
      `${this.kind.name} has no record of the network ${networkId.slice(0, 12)}`,
      {
        hint: 'its state folder may have been lost: remove the network and create it again',
      },
    );
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

  options(network: LanNetworkRecord): { readonly options: LanOptions; readonly mode: LinkMode } {
    const schema = { ...this.parts.services.network, ...lanSchema, ...this.kind.schema };
    const options = parseOptions(schema, network.options, { driver: this.kind.name }) as LanOptions &
      Readonly<Record<string, unknown>>;
    return { options, mode: this.kind.readMode(options) };
  }

  wish(network: LanNetworkRecord): ParentWish {
    const { parent } = this.options(network).options;
    return {
      networkId: network.networkId,
      name: network.internal && parent === undefined ? undefined : this.#requireParent(parent),
      kind: this.kind.kind,
    };
  }

  /** In the engine's namespace, down, under our name; the engine takes it from there. */
  makeLink(record: LanEndpointRecord, mode: LinkMode, parent: number, mtu: number): void {
    const { socket } = this.parts;
    const name = containerEndName(record.endpointId);
    const [made, ...others] = socket.attempt([
      linkRequest(name, mode, parent),
      changeLink(name, {
        alias: endpointAlias(record.endpointId),
        mtu,
        ...(record.macAddress && { mac: record.macAddress }),
      }),
    ]);
    if (made && !isKernelError(made, 'EEXIST')) throw this.#linkError(made, mode, parent);
    const failure = others.find((error) => error !== undefined);
    if (failure) throw this.#linkError(failure, mode, parent);
  }

  putState(
    endpoint: LanEndpointRecord,
    change: Pick<LanEndpointRecord, 'state' | 'sandboxKey' | 'sandboxSeen'>,
  ): LanEndpointRecord {
    const record = { ...endpoint, ...change, since: new Date().toISOString() };
    this.records.endpoints.put(record.endpointId, record);
    this.parts.registry.putEndpoint(this.registryEndpoint(record));
    return record;
  }

  registryNetwork(record: LanNetworkRecord): RegistryNetwork {
    return {
      networkId: record.networkId,
      driver: this.kind.name,
      options: record.options,
      internal: record.internal,
      pools: record.pools,
    };
  }

  registryEndpoint(record: LanEndpointRecord): RegistryEndpoint {
    const { networkId, endpointId, state, address, addressIPv6, macAddress, options, sandboxKey } = record;
    return {
      networkId,
      endpointId,
      state,
      addresses: [address, addressIPv6].filter((cidr) => cidr !== undefined).map(bare),
      ...(macAddress !== undefined && { macAddress }),
      options,
      ...(state === 'joined' && sandboxKey !== undefined && { sandboxKey }),
    };
  }

  /** Brings the host's own link and routes of a network to what its endpoints are. */
  restoreAccess(network: LanNetworkRecord): void {
    const parent = this.parents.find(this.wish(network));
    if (parent === undefined) return;
    this.hostAccess.ensure(this.#accessPlan(network, parent.index));
    this.#updateAccess(network);
  }

  #updateAccess(network: LanNetworkRecord): void {
    this.hostAccess.setContainers(
      network.networkId,
      this.endpointsOf(network.networkId).flatMap(({ address, addressIPv6 }) =>
        [address, addressIPv6].filter((cidr) => cidr !== undefined).map(bare),
      ),
    );
  }

  #accessPlan(network: LanNetworkRecord, parent: number) {
    const { options, mode } = this.options(network);
    return {
      networkId: network.networkId,
      access: network.internal ? ('off' as const) : options.hostAccess,
      mode,
      parent,
      pools: network.pools.map(({ pool }) => pool),
    };
  }

  #requireParent(parent: string | undefined): string {
    if (parent !== undefined) return parent;
    throw new PluginError('NET_PARENT_NOT_FOUND', `a ${this.kind.name} network needs a parent interface`, {
      hint: 'pass -o parent=INTERFACE, or --internal for a network without a wire',
    });
  }

  /** passthru takes the whole parent; links of one ipvlan parent all have its mode. */
  #refuseSharing(record: LanNetworkRecord, mode: LinkMode): void {
    const name = parentName(this.wish(record));
    for (const [, other] of this.records.networks.entries()) {
      if (other.networkId === record.networkId || parentName(this.wish(other)) !== name) continue;
      const theirs = this.options(other).mode;
      const passthru = mode.mode === 'passthru' || theirs.mode === 'passthru';
      const otherMode = mode.kind === 'ipvlan' && theirs.mode !== mode.mode;
      if (!passthru && !otherMode) continue;
      throw new PluginError(
        'NET_PARENT_TAKEN',
        `parent ${name} serves the network ${networkKey(other.networkId)} in mode ${theirs.mode}, which does not go with ${mode.mode}`,
        {
          hint: passthru ? 'passthru needs a parent of its own' : 'all networks of an ipvlan parent have one mode',
        },
      );
    }
  }

  #chooseMac(given: string | undefined, address: string | undefined): string | undefined {
    if (this.kind.kind === 'macvlan')
      return given ?? (address === undefined ? undefined : macFromAddress(bare(address)));
    if (given === undefined) return undefined;
    throw new PluginError('PROTO_UNSUPPORTED', 'ipvlan links all have the MAC address of their parent', {
      hint: 'leave --mac-address away, or use -d cleat-macvlan',
    });
  }

  #linkError(error: Error, mode: LinkMode, parent: number): PluginError {
    const name = findLink(this.parts.socket, parent)?.name ?? String(parent);
    if (isKernelError(error, 'EOPNOTSUPP')) {
      return new PluginError('NET_KERNEL', `this kernel has no ${mode.kind} links`, {
        hint: `run: modprobe ${mode.kind}`,
        cause: error,
      });
    }
    if (isKernelError(error, 'EBUSY', 'EINVAL')) {
      return new PluginError(
        'NET_PARENT_TAKEN',
        `no ${mode.kind} link in mode ${mode.mode} can be made on ${name}: ${error.message}`,
        {
          hint: 'a bridge port, a macvlan and an ipvlan parent exclude each other, and passthru takes one link only',
          cause: error,
        },
      );
    }
    return new PluginError('NET_LINK', `the ${mode.kind} link on ${name} could not be made: ${error.message}`, {
      cause: error,
    });
  }
}

function linkRequest(name: string, mode: LinkMode, parent: number): Request {
  if (mode.kind === 'ipvlan') {
    return createLink({ kind: 'ipvlan', name, parent, options: { mode: mode.mode, flag: mode.flag } });
  }
  const { kind: _macvlan, ...options } = mode;
  return createLink({ kind: 'macvlan', name, parent, options });
}

export function bare(cidr: string): string {
  const at = cidr.indexOf('/');
  return at < 0 ? cidr : cidr.slice(0, at);
}
