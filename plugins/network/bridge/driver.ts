/**
 * cleat-bridge: the verbs of the protocol. Each is: look at the records, change the kernel, write the record, tell the
 * registry, answer. Everything but the deletion of links is synchronous, so no verb ever sees another one half done; and all
 * of them may be repeated.
 *
 * Records of endpoints are not synced to the disk: a link does not survive what would lose them, the end of the machine.
 *
 * What a crash leaves behind is always on one side of a record, and restore.ts knows which: before the record is written the
 * kernel has something that no record knows (it goes), afterwards a record may lack its object (it is made again or dropped).
 */

import { existsSync } from 'node:fs';
import { isKernelError } from '../../linux/errors.ts';
import { changeBridgePort, changeLink, deleteLink, getLink } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import type {
  CreateEndpointRequest,
  CreateNetworkRequest,
  EndpointInterface,
  EndpointRequest,
  GwAllocCheckReply,
  GwAllocCheckRequest,
  JoinReply,
  JoinRequest,
  NetworkCapabilities,
  NetworkDriver,
  ProgramExternalConnectivityRequest,
} from '../../sdk/network-plugin.ts';
import type { Store } from '../../store/store.ts';
import { ensureForwarding } from '../link/forwarding.ts';
import { macFromAddress } from '../link/mac.ts';
import { containerEndName, hostEndName, networkKey } from '../link/names.ts';
import type { LinkRemover } from '../link/removal.ts';
import { hostSubnets } from '../link/underlay.ts';
import { type BridgeRef, createEndpointVeth, type VethPlan } from '../link/veth.ts';
import type { Firewall } from '../publish/firewall.ts';
import type { Publisher } from '../publish/publisher.ts';
import type { NetworkRegistry } from '../registry.ts';
import { checkHostSubnets, findClash, type KnownNetwork } from './conflicts.ts';
import { ensureBridge, findForeignBridge } from './device.ts';
import { linkOwner, linkRules } from './linked-ports.ts';
import { driverName, parseEndpointOptions, parseNetworkOptions, type ServiceOptions } from './options.ts';
import { type BridgePlan, gatewayFor, planBridge, planNetwork } from './plan.ts';
import { type BridgeRecords, type EndpointRecord, type NetworkRecord, openBridgeRecords } from './records.ts';
import { publishTarget, registryEndpoint, registryNetwork } from './views.ts';

/** A driver whose networks are bridges and something more. */
export interface BridgeKind {
  readonly records: 'bridge' | 'overlay';
  refine(plan: BridgePlan, record: Omit<NetworkRecord, 'madeByUs'>): BridgePlan;
}

export interface BridgeParts {
  readonly store: Store;
  /** In the engine's network namespace. */
  readonly socket: RouteSocket;
  readonly firewall: Firewall;
  readonly publisher: Publisher;
  readonly registry: NetworkRegistry;
  readonly remover: LinkRemover;
  readonly services: ServiceOptions;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  readonly isForgotten: (endpointId: string) => boolean;
  /** What another driver that bridges does differently; default: nothing. */
  readonly kind?: BridgeKind;
  /** Called when a network has changed what the host must let through. */
  readonly onNetworksChange: () => void;
  readonly now: () => Date;
}

export class BridgeDriver implements NetworkDriver {
  readonly capabilities: NetworkCapabilities = { scope: 'local', connectivityScope: 'local', gwAllocChecker: true };
  readonly records: BridgeRecords;
  readonly parts: BridgeParts;
  /** Networks that the engine may not know: the daemon ended before it can have answered. See NetworkRecord.confirmed. */
  readonly suspects = new Set<string>();
  /** Spares a question to the kernel for each container. */
  readonly #bridges = new Map<string, BridgeRef>();
  /** What follows from each network's record. */
  readonly #plans = new Map<string, BridgePlan>();

  get #name(): string {
    return this.parts.services.driver ?? driverName;
  }

  constructor(parts: BridgeParts) {
    this.parts = parts;
    this.records = openBridgeRecords(parts.store, parts.kind?.records);
  }

  async gwAllocCheck(request: GwAllocCheckRequest): Promise<GwAllocCheckReply> {
    const { gatewayMode4, gatewayMode6, inhibitIpv4 } = parseNetworkOptions(request.options, this.parts.services);
    // An isolated network's host has no address, so none is taken from the pool for it.
    return {
      skipIPv4: gatewayMode4 === 'isolated' || (inhibitIpv4 && request.internal),
      skipIPv6: gatewayMode6 === 'isolated',
    };
  }

  async createNetwork(request: CreateNetworkRequest): Promise<void> {
    const { socket, firewall, registry, services } = this.parts;
    const known = this.records.networks.get(request.networkId);
    const planned = planNetwork(request, services, { createdAt: known?.createdAt ?? this.parts.now().toISOString() });
    const plan = this.#planFor(planned);
    if (!known) await this.#checkConflicts(plan);
    const foreign = findForeignBridge(socket, plan);
    const record: NetworkRecord = { ...planned, madeByUs: foreign === undefined };
    this.enableForwarding(plan);
    try {
      if (!foreign) ensureBridge(socket, plan);
      firewall.putNetwork(plan.rules(record.madeByUs));
      this.records.networks.put(record.networkId, record);
    } catch (error) {
      if (!known) this.#undoNetwork(plan, record);
      throw error;
    }
    this.#plans.set(record.networkId, plan);
    registry.putNetwork(registryNetwork(plan, record));
    this.parts.onNetworksChange();
    this.#confirmSoon(record);
  }

  async deleteNetwork({ networkId }: { readonly networkId: string }): Promise<void> {
    const record = this.records.networks.get(networkId);
    if (!record) return;
    const plan = this.plan(networkId);
    // The engine has none left, or it would not ask: these are endpoints whose deletion never reached us.
    const stale = this.endpointsOf(networkId);
    this.parts.store.transaction(() => {
      for (const { endpointId } of stale) this.forgetEndpoint(endpointId);
      this.records.networks.delete(networkId);
    });
    this.#plans.delete(networkId);
    this.suspects.delete(networkId);
    this.#bridges.delete(networkId);
    this.parts.registry.removeNetwork(networkId);
    this.parts.firewall.removeNetwork(networkKey(networkId));
    const links = stale.map(({ endpointId }) => hostEndName(endpointId));
    await Promise.all(links.map((name) => this.parts.remover.remove(name)));
    if (record.madeByUs) this.#deleteBridge(plan.bridge);
    this.parts.onNetworksChange();
  }

  async createEndpoint(request: CreateEndpointRequest): Promise<EndpointInterface> {
    const { services, registry } = this.parts;
    const network = this.network(request.networkId);
    const plan = this.plan(request.networkId);
    const { linkedPorts } = parseEndpointOptions(request.options, services);
    const { address, addressIPv6, macAddress: givenMac } = request.interface;
    const first = address ?? addressIPv6;
    if (first === undefined) {
      throw new PluginError('NET_NO_SUBNET', 'the IPAM driver gave the endpoint no address', {
        hint: 'cleat-bridge leaves addresses to IPAM: use --ipam-driver cleat-ipam or the default one',
      });
    }
    const macAddress = givenMac ?? macFromAddress(bareAddress(first));
    const known = this.records.endpoints.get(request.endpointId);
    if (known && (known.address !== address || known.addressIPv6 !== addressIPv6)) {
      throw new PluginError(
        'NET_ENDPOINT_EXISTS',
        `endpoint ${request.endpointId.slice(0, 12)} exists with another address`,
      );
    }
    const isolated = !plan.options.interContainer;
    this.#makeVeth(plan, { endpointId: request.endpointId, macAddress, isolated });
    if (known) return givenMac === undefined ? { macAddress } : {};
    const record: EndpointRecord = {
      networkId: request.networkId,
      endpointId: request.endpointId,
      state: 'created',
      since: this.parts.now().toISOString(),
      ...(address !== undefined && { address }),
      ...(addressIPv6 !== undefined && { addressIPv6 }),
      macAddress,
      options: request.options,
    };
    try {
      this.parts.store.unsynced(() => {
        this.records.endpoints.put(record.endpointId, record);
        if (!network.confirmed) this.records.networks.put(network.networkId, { ...network, confirmed: true });
      });
      this.suspects.delete(network.networkId);
    } catch (error) {
      await this.parts.remover.remove(hostEndName(request.endpointId));
      throw error;
    }
    registry.putEndpoint(registryEndpoint(record));
    if (isolated) this.parts.firewall.putPorts(linkOwner(record.endpointId), linkRules(address, linkedPorts));
    return givenMac === undefined ? { macAddress } : {};
  }

  async deleteEndpoint({ endpointId }: EndpointRequest): Promise<void> {
    this.parts.store.unsynced(() => this.forgetEndpoint(endpointId));
    await this.parts.remover.remove(hostEndName(endpointId));
  }

  async endpointOperInfo({ endpointId }: EndpointRequest): Promise<Readonly<Record<string, unknown>>> {
    const record = this.records.endpoints.get(endpointId);
    if (!record) return {};
    return {
      hostInterface: hostEndName(endpointId),
      macAddress: record.macAddress,
      ports: this.parts.publisher.portsOf(endpointId),
    };
  }

  async join({ networkId, endpointId, sandboxKey }: JoinRequest): Promise<JoinReply> {
    const plan = this.plan(networkId);
    const endpoint = this.endpoint(endpointId);
    const sandbox = { sandboxKey, sandboxSeen: existsSync(sandboxKey) };
    const record = { ...endpoint, state: 'joined', since: this.parts.now().toISOString(), ...sandbox } as const;
    this.parts.store.unsynced(() => this.records.endpoints.put(endpointId, record));
    this.parts.registry.putEndpoint(registryEndpoint(record));
    const { interfaceName } = parseEndpointOptions(endpoint.options, this.parts.services);
    const gateway = gatewayFor(plan, endpoint.address);
    const gatewayIPv6 = gatewayFor(plan, endpoint.addressIPv6);
    return {
      interfaceName: {
        srcName: containerEndName(endpointId),
        dstPrefix: plan.options.containerPrefix,
        ...(interfaceName !== undefined && { dstName: interfaceName }),
      },
      ...(gateway !== undefined && { gateway }),
      ...(gatewayIPv6 !== undefined && { gatewayIPv6 }),
      staticRoutes: plan.routes,
      // Without a gateway the engine would add a network of its own behind the user's back.
      disableGatewayService: gateway === undefined && gatewayIPv6 === undefined,
    };
  }

  /**
   * The engine takes the link out only after the answer, so it is not touched here. Nothing is written either: after a crash
   * the link tells by itself that it was left.
   */
  async leave({ endpointId }: EndpointRequest): Promise<void> {
    const endpoint = this.records.endpoints.get(endpointId);
    if (endpoint) this.parts.registry.putEndpoint(registryEndpoint(endpoint, { left: this.parts.now().getTime() }));
  }

  async programExternalConnectivity(request: ProgramExternalConnectivityRequest): Promise<void> {
    const plan = this.plan(request.networkId);
    const endpoint = this.endpoint(request.endpointId);
    if (plan.internal) return;
    const target = publishTarget(plan, endpoint, !request.noProxy6To4);
    const { networkId, endpointId, portBindings } = request;
    const ports = this.parts.publisher.publish({ networkId, endpointId, bindings: portBindings, target });
    // The way from a container to itself through its own published port; where br_netfilter is on, the bridge itself has to
    // send the frame back out of the port that it came in by.
    if (ports.length > 0) this.parts.socket.attempt([changeBridgePort(hostEndName(endpointId), { hairpin: true })]);
  }

  async revokeExternalConnectivity({ endpointId }: EndpointRequest): Promise<void> {
    this.parts.publisher.revoke(endpointId);
  }

  async discoverNew(): Promise<void> {}

  async discoverDelete(): Promise<void> {}

  network(networkId: string): NetworkRecord {
    const record = this.records.networks.get(networkId);
    if (record) return record;
    throw new PluginError(
      'NET_NETWORK_UNKNOWN',
      `${this.#name} has no record of the network ${networkId.slice(0, 12)}`,
      {
        hint: 'its state folder may have been lost: remove the network and create it again',
      },
    );
  }

  plan(networkId: string): BridgePlan {
    let plan = this.#plans.get(networkId);
    if (!plan) {
      plan = this.#planFor(this.network(networkId));
      this.#plans.set(networkId, plan);
    }
    return plan;
  }

  #planFor(record: Omit<NetworkRecord, 'madeByUs'>): BridgePlan {
    const plan = planBridge(record, this.parts.services);
    return this.parts.kind?.refine(plan, record) ?? plan;
  }

  endpointsOf(networkId: string): EndpointRecord[] {
    return this.parts.registry
      .endpoints(networkId)
      .flatMap(({ endpointId }) => this.records.endpoints.get(endpointId) ?? []);
  }

  /** Records, ports and registry; the link is the caller's. Nothing when it is not there. */
  forgetEndpoint(endpointId: string): void {
    this.parts.publisher.revoke(endpointId);
    this.parts.firewall.removePorts(linkOwner(endpointId));
    this.records.endpoints.delete(endpointId);
    this.parts.registry.removeEndpoint(endpointId);
  }

  enableForwarding(plan: BridgePlan): void {
    if (plan.internal) return;
    for (const family of new Set(plan.pools.map((pool) => pool.family))) ensureForwarding(family, this.parts.log);
  }

  /** Everything that the registry and the control routes show as one of our networks. */
  known(): KnownNetwork[] {
    return this.records.networks.entries().map(([networkId]) => {
      const { bridge, pools } = this.plan(networkId);
      return { networkId, bridge, pools: pools.map(({ pool }) => pool) };
    });
  }

  /** Whether one of our records stands on the link. */
  needsLink(name: string): boolean {
    // The names of host ends hold the beginning of the endpoint's id, which is the key of its record.
    if (/^cv[0-9a-z]{10}$/.test(name)) return this.records.endpoints.entries(name.slice(2)).length > 0;
    return this.known().some(({ bridge }) => bridge === name);
  }

  endpoint(endpointId: string): EndpointRecord {
    const record = this.records.endpoints.get(endpointId);
    if (record) return record;
    throw new PluginError(
      'NET_ENDPOINT_UNKNOWN',
      `${this.#name} has no record of the endpoint ${endpointId.slice(0, 12)}`,
      {
        hint: 'start the container again',
      },
    );
  }

  /** On the bridge as it was last seen; if that is not what it was, on the bridge as it is now. */
  #makeVeth(plan: BridgePlan, veth: Omit<VethPlan, 'bridge'>): void {
    const { socket } = this.parts;
    const look = () => {
      const { index, mtu } = getLink(socket, plan.bridge);
      const bridge = { name: plan.bridge, index, mtu };
      this.#bridges.set(plan.networkId, bridge);
      return bridge;
    };
    const known = this.#bridges.get(plan.networkId);
    try {
      createEndpointVeth(socket, { ...veth, bridge: known ?? look() });
    } catch (error) {
      if (!known) throw error;
      createEndpointVeth(socket, { ...veth, bridge: look() });
    }
  }

  /** Engines of 20.10 make the sandbox's path only when the container starts, after the join. */
  noteSandbox(endpoint: EndpointRecord): void {
    const { state, sandboxKey, sandboxSeen } = endpoint;
    if (state !== 'joined' || sandboxSeen || sandboxKey === undefined || !existsSync(sandboxKey)) return;
    const record = { ...endpoint, sandboxSeen: true };
    this.records.endpoints.put(record.endpointId, record);
    this.parts.registry.putEndpoint(registryEndpoint(record));
  }

  async #checkConflicts(plan: BridgePlan): Promise<void> {
    const { networkId, bridge } = plan;
    const pools = plan.pools.map(({ pool }) => pool);
    for (;;) {
      const clash = findClash({ networkId, bridge, pools }, this.known());
      if (!clash) break;
      const other = clash.network.networkId;
      if (!this.suspects.has(other) || this.endpointsOf(other).length > 0) throw clash.error;
      this.parts.log.warn({ network: other }, 'a network whose creation was interrupted gives way to a new one');
      await this.deleteNetwork({ networkId: other });
    }
    for (const warning of checkHostSubnets(pools, bridge, hostSubnets(this.parts.socket))) {
      this.parts.log.warn({ network: networkId }, warning);
    }
  }

  #undoNetwork(plan: BridgePlan, record: NetworkRecord): void {
    this.parts.firewall.removeNetwork(networkKey(plan.networkId));
    if (record.madeByUs) this.#deleteBridge(plan.bridge);
    this.parts.onNetworksChange();
  }

  /** Without ports it goes at once; the kernel's long wait is for veths. */
  #deleteBridge(bridge: string): void {
    const { socket } = this.parts;
    for (const error of socket.attempt([changeLink(bridge, { up: false }), deleteLink(bridge)])) {
      if (error && !isKernelError(error, 'ENODEV')) throw error;
    }
  }

  /** The answer has left by then, so the engine knows the network; see NetworkRecord.confirmed. */
  #confirmSoon(record: NetworkRecord): void {
    setTimeout(() => {
      const now = this.records.networks.get(record.networkId);
      if (now && !now.confirmed) this.records.networks.put(now.networkId, { ...now, confirmed: true });
    }, 100).unref();
  }
}

function bareAddress(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'));
}
