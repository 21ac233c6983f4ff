/**
 * cleat-overlay: a bridge on every host, as cleat-bridge makes it, with a VXLAN as one more port. Publishing, masquerade,
 * records and healing are the bridge's own.
 */
import { changeBridgePort } from '../../linux/netlink/link.ts';
import { PluginError } from '../../sdk/errors.ts';
import type {
  AllocateNetworkRequest,
  CreateEndpointRequest,
  CreateNetworkRequest,
  EndpointInterface,
  NetworkCapabilities,
} from '../../sdk/network-plugin.ts';
import { BridgeDriver, type BridgeParts } from '../bridge/driver.ts';
import { parseNetworkOptions } from '../bridge/options.ts';
import type { BridgePlan } from '../bridge/plan.ts';
import { macFromId } from '../link/mac.ts';
import { hostEndName, vxlanName } from '../link/names.ts';
import type { OverlayConfig } from './config.ts';
import { Member, type MemberParts } from './member.ts';
import { type OverlayOptions, readOverlayOptions } from './options.ts';
import { resolvePeers } from './peers.ts';
import { smallestMtu } from './probe/path.ts';
import { shareOf } from './share.ts';
import { findOwnUnderlay, overlayMtu, ownAddress } from './underlay.ts';

/** Of the four seconds that an engine's call may take: when packets do not pass by then, they will later. */
const createMs = 2000;
/** Any Ethernet, for the time that the address of this host is not there. */
const anyUnderlay = { family: 6, linkMtu: 1500 } as const;

export interface OverlayParts extends Omit<BridgeParts, 'kind'> {
  readonly config: () => OverlayConfig;
  /** What a network with such options needs. Throws NET_OVERLAY_CONFIG. */
  readonly member: (options: OverlayOptions) => MemberParts;
}

export class OverlayDriver extends BridgeDriver {
  override readonly capabilities: NetworkCapabilities;
  /** By network id. */
  readonly members = new Map<string, Member>();
  /** Told of each new one. */
  onMember: (member: Member) => void = () => {};
  /** Told when one is gone. */
  onGone: () => void = () => {};
  readonly #parts: OverlayParts;

  constructor(parts: OverlayParts) {
    const refine = (plan: BridgePlan, record: { readonly options: Readonly<Record<string, string>> }): BridgePlan => {
      const options = readOverlayOptions(record.options, parts.config());
      const mtu = plan.mtu ?? findMtu(parts, options);
      // The same gateway everywhere: a container that moves finds the one that it knows.
      const macAddress = macFromId(`cleat-overlay ${options.name}`);
      if (!options.direct) return { ...plan, mtu, macAddress };
      return { ...plan, mtu, macAddress, rules: (whole) => ({ ...plan.rules(whole), direct: true }) };
    };
    super({ ...parts, kind: { records: 'overlay', refine } });
    this.#parts = parts;
    const { scope } = parts.config();
    this.capabilities = { scope, connectivityScope: scope, gwAllocChecker: true };
  }

  /** On a swarm's manager, once for each network: what the hosts will be given as its options. Refuses here what they would. */
  async allocateNetwork(request: AllocateNetworkRequest): Promise<Readonly<Record<string, string>>> {
    const { networkId } = request;
    const options = await this.#resolve(request.options);
    parseNetworkOptions(options, this.#parts.services);
    const allocated = { 'cleat.network': networkId, ...options, 'cleat.allocated': 'true' };
    readOverlayOptions(allocated, this.#parts.config());
    return allocated;
  }

  /** Nothing was kept for it. */
  async freeNetwork(): Promise<void> {}

  override async createNetwork(given: CreateNetworkRequest): Promise<void> {
    const began = performance.now();
    const request = { ...given, options: await this.#resolve(given.options) };
    const { config, socket } = this.#parts;
    const options = readOverlayOptions(request.options, config());
    this.#refuseTaken(request.networkId, options);
    if (options.direct) this.#refuseDirect(request);
    if (options.allocated && request.ipv6.length > 0) {
      throw new PluginError(
        'PROTO_UNSUPPORTED',
        'cleat-overlay: a swarm allocates no IPv6 addresses, so each of its engines has taken a subnet of its own',
        { hint: 'create the network without --ipv6' },
      );
    }
    if (request.ipv6.length > 0) this.#refuseNarrow(request, options);
    const parts = this.#parts.member(options);
    const { position } = findOwnUnderlay(socket, options, config());
    if (!options.store && !options.allocated)
      for (const { pool } of [...request.ipv4, ...request.ipv6]) shareOf(pool, position, options.shares);
    const known = this.records.networks.get(request.networkId) !== undefined;
    await super.createNetwork(request);
    try {
      if (!this.members.has(request.networkId)) this.#join(request.networkId, parts);
      await this.members.get(request.networkId)?.define();
      await this.members.get(request.networkId)?.openWhole(createMs - (performance.now() - began));
    } catch (error) {
      if (!known) await this.deleteNetwork(request);
      throw error;
    }
  }

  override async deleteNetwork({ networkId }: { readonly networkId: string }): Promise<void> {
    this.members.get(networkId)?.close();
    if (this.members.delete(networkId)) this.onGone();
    await super.deleteNetwork({ networkId });
  }

  override async createEndpoint(request: CreateEndpointRequest): Promise<EndpointInterface> {
    const member = this.members.get(request.networkId);
    const { address, addressIPv6 } = request.interface;
    const addresses = [address, addressIPv6].filter((one) => one !== undefined);
    if (member && this.records.endpoints.get(request.endpointId) === undefined) {
      for (const one of addresses) await this.#checkAddress(member, one);
    }
    const reply = await super.createEndpoint(request);
    // One container at each port: when it leaves a multicast group, nobody else there wants it.
    const port = hostEndName(request.endpointId);
    this.#parts.socket.attempt([changeBridgePort(port, { multicastFastLeave: true })]);
    return reply;
  }

  override needsLink(name: string): boolean {
    return super.needsLink(name) || [...this.members.values()].some(({ options }) => vxlanName(options.vni) === name);
  }

  /** After the records were read: every network takes part again. One that cannot is tried again later. */
  restoreMembers(): void {
    for (const [networkId] of this.records.networks.entries()) {
      try {
        const options = readOverlayOptions(this.network(networkId).options, this.#parts.config());
        this.#join(networkId, this.#parts.member(options));
        this.members.get(networkId)?.open();
      } catch (error) {
        this.#parts.log.warn({ err: error, network: networkId }, 'a network has no connection to other hosts');
      }
    }
  }

  /** Looks after what others may have taken away, and tries again what could not be had. */
  checkMembers(): void {
    for (const member of this.members.values()) {
      try {
        member.check();
      } catch (error) {
        this.#parts.log.warn(
          { err: error, network: member.options.name },
          'a network has no connection to other hosts',
        );
      }
    }
  }

  #join(networkId: string, parts: MemberParts): void {
    const plan = this.plan(networkId);
    const options = readOverlayOptions(this.network(networkId).options, this.#parts.config());
    const member = new Member(networkId, options, plan, parts);
    this.members.set(networkId, member);
    this.onMember(member);
  }

  #resolve(options: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
    const { socket, config } = this.#parts;
    return resolvePeers(options, (others) =>
      ownAddress(socket, { underlay: options['cleat.underlay'] }, config(), others),
    );
  }

  #refuseTaken(networkId: string, { name, vni }: OverlayOptions): void {
    for (const member of this.members.values()) {
      if (member.networkId === networkId) continue;
      const same =
        member.options.name === name ? `name ${name}` : member.options.vni === vni ? `VNI ${vni}` : undefined;
      if (same === undefined) continue;
      throw new PluginError('NET_OVERLAY_VNI', `${same} belongs to the network ${member.networkId.slice(0, 12)}`, {
        hint: 'remove that network, or choose another cleat.network or cleat.vni',
      });
    }
  }

  /** The kernel takes the addresses of IPv6 away from links that carry less than it needs (RFC 8200 §5). */
  #refuseNarrow({ options }: CreateNetworkRequest, own: OverlayOptions): void {
    if (parseNetworkOptions(options, this.#parts.services).mtu !== undefined) return;
    const mtu = findMtu(this.#parts, own);
    if (mtu >= smallestMtu) return;
    throw new PluginError(
      'PROTO_OPTION',
      `cleat-overlay: the way between the hosts leaves ${mtu} bytes, IPv6 needs 1280`,
      {
        hint: `give the interface with this host's address an MTU that is larger by ${smallestMtu - mtu}, or leave IPv6 off`,
      },
    );
  }

  /** What is routed passes by the host, and not by the ports of the bridge that keep containers apart. */
  #refuseDirect({ internal, options }: CreateNetworkRequest): void {
    const { interContainer } = parseNetworkOptions(options, this.#parts.services);
    const other = internal ? '--internal' : interContainer ? undefined : 'com.docker.network.bridge.enable_icc=false';
    if (other === undefined) return;
    throw new PluginError('PROTO_OPTION', `cleat-overlay: cleat.direct and ${other} exclude each other`, {
      hint: 'leave one of them away',
    });
  }

  async #checkAddress(member: Member, address: string): Promise<void> {
    await member.checkAddress(address);
    const bare = address.slice(0, address.indexOf('/'));
    const holder = member.holderOf(bare);
    // One who gives an address away again knows that it is free, before everybody else does.
    if (!holder || member.options.allocated) return;
    throw new PluginError('NET_ADDRESS_DUPLICATE', `${bare} is in use by a container on ${holder.hostName}`);
  }
}

function findMtu({ socket, config }: OverlayParts, options: OverlayOptions): number {
  try {
    return overlayMtu(findOwnUnderlay(socket, options, config()), options.encrypted);
  } catch {
    // The address may come later; joining tells.
    return overlayMtu(anyUnderlay, options.encrypted);
  }
}
