/**
 * One network as this host takes part in it: the VXLAN on its bridge, what of it the others are told, and what they tell put
 * into the kernel and into the names.
 */
import { isKernelError } from '../../linux/errors.ts';
import { listAddresses } from '../../linux/netlink/address.ts';
import { findLink, type Link } from '../../linux/netlink/link.ts';
import { getRoute } from '../../linux/netlink/route.ts';
import type { RouteChange, RouteSocket } from '../../linux/netlink/route-socket.ts';
import { type Cidr, cidrHasIp, formatCidr, parseCidr, parseInterfaceAddress } from '../address/cidr.ts';
import { findIp, formatIp } from '../address/ip.ts';
import { findMac, isUnicastMac } from '../address/mac.ts';
import type { BridgePlan } from '../bridge/plan.ts';
import type { Directory } from '../dns/directory.ts';
import { vxlanName } from '../link/names.ts';
import { announceOn } from '../neighbour/announce.ts';
import type { NetworkRegistry, RegistryEndpoint } from '../registry.ts';
import type { OverlayConfig } from './config.ts';
import type { ControlPlane, RemotePart, SharedEndpoint, SharedNetwork } from './control-plane.ts';
import { ensureVxlan, gatherSegments, removeVxlan } from './device.ts';
import { type Direct, type DirectHost, directAttributes, directRanges, nextHop, readDirect } from './direct/direct.ts';
import { type DirectRoute, Forwarding, type RemoteAddress } from './forwarding.ts';
import { groupsText, Multicast, readGroupsText } from './multicast.ts';
import { localNames, RemoteNames } from './names.ts';
import type { OverlayOptions } from './options.ts';
import { judge, type RemoteHost } from './remote.ts';
import { checkShare, shareOf } from './share.ts';
import { tunnelAddress, tunnelMtu } from './tunnel/address.ts';
import type { Tunnel } from './tunnel/tunnel.ts';
import { findOwnUnderlay, type Underlay } from './underlay.ts';

export interface MemberParts {
  readonly socket: RouteSocket;
  readonly registry: NetworkRegistry;
  readonly plane: ControlPlane;
  readonly config: () => OverlayConfig;
  readonly tunnel: Tunnel;
  readonly direct: Direct;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** One container of the network. */
export interface Place {
  readonly endpointId: string;
  readonly address: string;
  readonly mac: string;
  /** The other host's address on the underlay; undefined: this host. */
  readonly host: string | undefined;
  readonly hostName: string;
}

interface DirectRange {
  readonly range: Cidr;
  readonly gateway: string;
}

export class Member {
  readonly networkId: string;
  readonly options: OverlayOptions;
  readonly plan: BridgePlan;
  readonly #parts: MemberParts;
  readonly #forwarding: Forwarding;
  readonly #multicast: Multicast;
  /** What the others were told, by endpoint; the text tells whether it has changed. */
  readonly #told = new Map<string, string>();
  #toldAttributes = '';
  #underlay: Underlay | undefined;
  /** The link to the underlay, where hosts on its segment are reached directly, and what they are told of it. */
  #segment: { readonly link: Link; readonly self: DirectHost } | undefined;
  /** Host → whether it is on the segment. */
  readonly #near = new Map<string, boolean>();
  /** To be said once more: what the other host did not know yet it may have asked everybody for, by its container's own MAC. */
  readonly #answered = new Set<string>();
  /** Host → ranges that are routed to it, and by which next hop. */
  #direct: ReadonlyMap<string, readonly DirectRange[]> = new Map();
  #remotes: readonly RemoteHost[] = [];
  /** By what the host said: the same object, the same judgement. */
  #judged: { readonly key: string; readonly hosts: WeakMap<RemotePart, RemoteHost> } = {
    key: '',
    hosts: new WeakMap(),
  };
  readonly #addresses = new WeakMap<RemoteHost, { readonly ranges: string; readonly list: readonly RemoteAddress[] }>();
  readonly #names: RemoteNames;
  /** The zone changes by what others say, which is no news for them. */
  #naming = false;
  #complaints = '';
  #gatherFailed = false;
  #directory: Directory | undefined;

  constructor(networkId: string, options: OverlayOptions, plan: BridgePlan, parts: MemberParts) {
    this.networkId = networkId;
    this.options = options;
    this.plan = plan;
    this.#parts = parts;
    this.#names = new RemoteNames(networkId);
    this.#forwarding = new Forwarding(parts.socket);
    this.#multicast = new Multicast(
      parts.socket,
      plan.pools.some(({ pool }) => pool.includes(':')),
    );
  }

  get underlay(): Underlay | undefined {
    return this.#underlay;
  }

  get remotes(): readonly RemoteHost[] {
    return this.#remotes;
  }

  get entryCount(): number {
    return this.#forwarding.size;
  }

  /** Builds what is missing, in the kernel and towards the others; may be repeated. Throws NET_OVERLAY_PEERS and NET_LINK. */
  open(): void {
    const { socket, config, tunnel } = this.#parts;
    const underlay = findOwnUnderlay(socket, this.options, config());
    const moved = underlay.address !== this.#underlay?.address;
    const { name, vni, port, encrypted } = this.options;
    const { family, linkMtu, address: host } = underlay;
    // First, so that there is no moment in which something could go out in clear.
    if (encrypted) tunnel.open(name, { host, vni, port, mtu: tunnelMtu(linkMtu, family) });
    const vxlan = ensureVxlan(socket, {
      networkId: this.networkId,
      bridge: this.plan.bridge,
      vni,
      port,
      local: this.vtepOf(host),
      noChecksum: encrypted,
    });
    this.#underlay = underlay;
    this.#lookAround();
    this.#load(vxlan);
    this.#multicast.load(vxlan.index, vxlan.master);
    this.askGroups();
    if (moved) this.#announce();
    this.settle();
    this.#gather();
  }

  /** Looks after what others may have taken away or changed. Throws what `open` does. */
  check(): void {
    const vxlan = findLink(this.#parts.socket, vxlanName(this.options.vni));
    if (!vxlan || !this.#isWhole(vxlan)) {
      this.open();
      return;
    }
    this.#gather();
    if (this.options.direct) {
      this.#underlay = findOwnUnderlay(this.#parts.socket, this.options, this.#parts.config());
      this.#lookAround();
      this.tellAttributes();
      const again = [...this.#answered].filter((address) =>
        this.#remotes.some(({ host }) => this.directWay(host, address) !== undefined),
      );
      this.#answer(again);
      this.#answered.clear();
    }
    this.settle();
    if (this.#forwarding.isWhole()) return;
    this.#load(vxlan);
    this.settle('entries that somebody changed were put right');
  }

  /** News of the kernel about FDB and neighbours. */
  heard(change: RouteChange): void {
    this.#forwarding.heard(change);
  }

  /** News of the kernel were lost: at the next check it is asked for everything. */
  missed(): void {
    this.#forwarding.missed();
  }

  /** Agrees with the other hosts on what the network is, where there is a store. Throws NET_OVERLAY_DIFFERS, NET_OVERLAY_STORE. */
  async define(): Promise<void> {
    const { socket, config, plane } = this.#parts;
    const underlay = findOwnUnderlay(socket, this.options, config());
    await plane.define({ ...this.#frame(underlay), attributes: {}, endpoints: [] });
  }

  /** The ranges that this host gives addresses of. */
  ranges(): Cidr[] {
    const { name, peers, shares, store } = this.options;
    if (this.options.allocated) return [];
    const pools = this.plan.pools.map(({ pool }) => pool);
    if (store) return pools.flatMap((pool) => this.#parts.plane.held(name, pool));
    const position = this.#underlay ? peers.indexOf(this.#underlay.address) : -1;
    return position < 0 ? [] : pools.map((pool) => shareOf(pool, position, shares));
  }

  /** Throws NET_OVERLAY_SHARE for an address (CIDR form) that is another host's to give, and NET_OVERLAY_STORE. */
  async checkAddress(address: string): Promise<void> {
    if (this.options.allocated) return;
    const { ip } = parseInterfaceAddress(address);
    if (this.ranges().some((range) => cidrHasIp(range, ip))) return;
    const pool = this.plan.pools.map((one) => one.pool).find((one) => cidrHasIp(parseCidr(one), ip));
    if (this.options.store && pool !== undefined) await this.#parts.plane.claim(this.options.name, pool, formatIp(ip));
    else if (this.#underlay) checkShare(ip, this.ranges());
  }

  /** The same, and waits for so long until packets can pass. Throws NET_OVERLAY_TUNNEL too. */
  async openWhole(withinMs: number): Promise<void> {
    const began = performance.now();
    this.open();
    if (!this.options.encrypted) return;
    await this.#parts.tunnel.ready(withinMs - (performance.now() - began));
    this.#gather();
  }

  /** The kernel's own WireGuard hands over what came together already. */
  #gather(): void {
    if (!this.options.encrypted || this.#parts.tunnel.kind !== 'wireguard-go') return;
    try {
      gatherSegments(vxlanName(this.options.vni));
      this.#gatherFailed = false;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      const network = this.options.name;
      if (!this.#gatherFailed)
        this.#parts.log.warn({ err: error, network }, 'large transfers are slower than they could be');
      this.#gatherFailed = true;
    }
  }

  /** What this host tells of itself may have changed: its keys, the groups that containers want. */
  tellAttributes(): void {
    if (!this.#underlay) return;
    const { attributes } = this.#own(this.#underlay);
    const text = JSON.stringify(attributes);
    if (text === this.#toldAttributes) return;
    this.#toldAttributes = text;
    this.#parts.plane.change(this.options.name, { kind: 'attributes', attributes });
  }

  /** Whether groups of that bridge are this network's. */
  hasGroups(bridge: number): boolean {
    return this.#multicast.isTable(bridge);
  }

  /** Has the containers say again which groups they want. */
  askGroups(): void {
    try {
      this.#multicast.ask(this.plan.pools.find(({ gateway }) => gateway?.includes('.'))?.gateway ?? '0.0.0.0');
    } catch (error) {
      // The link went down or away a moment ago; the next question comes soon.
      if (!isKernelError(error)) throw error;
    }
  }

  /** Whether the kernel still has the network's links as they were. */
  #isWhole(vxlan: Link): boolean {
    const bridge = findLink(this.#parts.socket, this.plan.bridge);
    return this.#underlay !== undefined && vxlan.up && vxlan.master === bridge?.index;
  }

  /** What the kernel has, as it is now. */
  #load({ index: vxlan, master: bridge }: Link): void {
    this.#forwarding.load({ vxlan, bridge, routed: this.options.direct ? this.#answeredPools() : [] });
  }

  /** Finds the segment, and has the firewall know of it. Throws NET_FIREWALL. */
  #lookAround(): void {
    const { socket, direct } = this.#parts;
    if (!this.options.direct || !this.#underlay) return;
    const { link: index, family } = this.#underlay;
    this.#near.clear();
    const link = findLink(socket, index);
    const mac = findMac(link?.mac ?? '');
    this.#segment = undefined;
    if (!link || mac === undefined || !isUnicastMac(mac)) return;
    const linkLocal = family === 4 ? findLinkLocal(socket, index) : undefined;
    this.#segment = { link, self: { mac, ...(linkLocal !== undefined && { linkLocal }) } };
    direct.open(this.options.name, {
      bridge: this.plan.bridge,
      link: link.name,
      pools: this.#routedPools().map(formatCidr),
    });
  }

  /** Those that this host itself can be sent packets of. */
  #routedPools(): Cidr[] {
    const host = this.#underlay?.address ?? '';
    const self = this.#segment?.self ?? {};
    return this.#answeredPools().filter(({ family }) => nextHop(host, self, family) !== undefined);
  }

  /** Answers come from an address of the bridge. */
  #answeredPools(): Cidr[] {
    return this.plan.pools
      .filter(({ bridgeAddress }) => bridgeAddress !== undefined)
      .map(({ pool }) => parseCidr(pool));
  }

  close(): void {
    this.#parts.plane.withdraw(this.options.name);
    this.#forwarding.close();
    this.#parts.direct.close(this.options.name);
    if (this.#directory) this.#names.settle(this.#directory, []);
    removeVxlan(this.#parts.socket, this.options.vni);
    this.#parts.tunnel.close(this.options.name);
  }

  /** From now on names go both ways. */
  follow(directory: Directory): void {
    this.#directory = directory;
    this.tellAll();
    this.#settleNames();
  }

  /** Tells the others of an endpoint here, if that is news. */
  tell(endpoint: RegistryEndpoint): void {
    if (endpoint.state !== 'joined' || endpoint.macAddress === undefined) {
      this.forget(endpoint.endpointId);
      return;
    }
    const shared = this.#share(endpoint);
    const text = JSON.stringify(shared);
    if (this.#told.get(shared.id) === text) return;
    this.#told.set(shared.id, text);
    this.#parts.plane.change(this.options.name, { kind: 'put', endpoint: shared });
    if (endpoint.addresses.some((address) => this.holderOf(address))) this.settle();
  }

  tellAll(): void {
    if (this.#naming) return;
    for (const endpoint of this.#parts.registry.endpoints(this.networkId)) this.tell(endpoint);
  }

  forget(endpointId: string): void {
    if (this.#told.delete(endpointId)) this.#parts.plane.change(this.options.name, { kind: 'remove', endpointId });
  }

  /** The address of another host's container, if it has this one. */
  holderOf(address: string): RemoteHost | undefined {
    return this.#remotes.find(({ endpoints }) => endpoints.some(({ addresses }) => addresses.includes(address)));
  }

  /** A container by address or by one of its names, here first; its IPv4 address unless IPv6 is asked for or it has no other. */
  find(text: string, wantIPv6?: boolean): Place | undefined {
    const here = this.#parts.registry
      .endpoints(this.networkId)
      .filter(({ state, macAddress }) => state === 'joined' && macAddress !== undefined)
      .map((endpoint) => ({ ...this.#share(endpoint), host: undefined, hostName: 'this host' }));
    const there = this.#remotes.flatMap(({ endpoints, host, hostName }) =>
      endpoints.map((endpoint) => ({ ...endpoint, host, hostName })),
    );
    for (const { id: endpointId, addresses, names, mac, host, hostName } of [...here, ...there]) {
      const exact = addresses.find((address) => address === text);
      if (exact === undefined && !names.includes(text.toLowerCase())) continue;
      const fitting = addresses.find((address) => address.includes(':') === (wantIPv6 ?? false)) ?? addresses[0];
      const address = exact ?? fitting;
      if (address !== undefined) return { endpointId, address, mac, host, hostName };
    }
    return undefined;
  }

  /** Brings kernel and names to what the others say now. `news`: what it means when something had to be changed. */
  settle(news = 'entries of other hosts changed'): void {
    const underlay = this.#underlay;
    if (underlay === undefined) return;
    const { name } = this.options;
    this.#judgeAll(underlay);
    this.#complain();
    const usable = this.#remotes.filter(({ problem }) => problem === undefined);
    // After a start the kernel still has what was known.
    const keep = !this.#parts.plane.knowsAll(name);
    if (this.options.encrypted) {
      const tunnels = usable.flatMap(({ host, tunnel }) => (tunnel ? [{ host, tunnel }] : []));
      this.#parts.tunnel.update(name, tunnels, keep);
    }
    // What this host has itself it knows better: somebody's word may be from before.
    const here = new Set(this.#parts.registry.endpoints(this.networkId).flatMap(({ addresses }) => addresses));
    const hosts = usable.map(({ host }) => this.vtepOf(host));
    this.#direct = this.#settleDirect(usable, keep);
    const routes = [...this.#direct.values()].flatMap((parts) =>
      parts.map(
        ({ range, gateway }): DirectRoute => ({ destination: formatCidr(range), gateway, link: underlay.link }),
      ),
    );
    const isHere = ({ addresses }: RemoteAddress) => addresses.some((address) => here.has(address));
    const remotes = usable.flatMap((remote) => this.#addressesOf(remote).filter((one) => !isHere(one)));
    this.#multicast.settle(
      usable.map(({ host, attributes }) => ({ vtep: this.vtepOf(host), groups: readGroupsText(attributes['groups']) })),
      keep,
    );
    const { added, removed, answered } = this.#forwarding.settle({ hosts, remotes, routes }, keep);
    this.#answer(answered);
    if (added + removed > 0) this.#parts.log.info({ network: name, added, removed }, news);
    this.#settleNames();
  }

  /** Lets packets of hosts in that come without VXLAN. Returns the ranges that may be sent to in this way, for each host. */
  #settleDirect(usable: readonly RemoteHost[], keep: boolean): ReadonlyMap<string, readonly DirectRange[]> {
    if (!this.#segment) return new Map();
    const taking = usable.flatMap((remote) => {
      const said = readDirect(remote);
      return said === undefined ? [] : [{ remote, said }];
    });
    this.#parts.direct.update(
      this.options.name,
      taking.map(({ remote: { host }, said: { mac } }) => ({ host, mac })),
      keep,
    );
    const pools = this.#routedPools();
    const near = taking.filter(({ remote }) => this.#isNear(remote.host));
    return new Map(
      near.map(({ remote, said }) => [
        remote.host,
        directRanges(remote, pools).flatMap((range) => {
          const gateway = nextHop(remote.host, said, range.family);
          return gateway === undefined ? [] : [{ range, gateway }];
        }),
      ]),
    );
  }

  /** Hosts that say the same as before are judged as before. */
  #judgeAll(underlay: Underlay): void {
    const own = this.#own(underlay);
    const key = JSON.stringify({ ...own, attributes: own.attributes['tunnel'] !== undefined });
    if (key !== this.#judged.key) this.#judged = { key, hosts: new WeakMap() };
    const { hosts } = this.#judged;
    this.#remotes = this.#parts.plane.remoteParts(this.options.name).map((part) => {
      const known = hosts.get(part) ?? judge(part, own, this.options);
      hosts.set(part, known);
      return known;
    });
  }

  #addressesOf(remote: RemoteHost): readonly RemoteAddress[] {
    const { host, endpoints } = remote;
    const ranges = (this.#direct.get(host) ?? []).map(({ range }) => formatCidr(range)).join();
    const known = this.#addresses.get(remote);
    if (known?.ranges === ranges) return known.list;
    const list = endpoints.map(({ addresses, mac }) => {
      const routed = addresses.filter((address) => this.directWay(host, address) !== undefined);
      return { addresses, mac, host: this.vtepOf(host), routed };
    });
    this.#addresses.set(remote, { ranges, list });
    return list;
  }

  /** Containers here that knew another MAC for these hear of it. */
  #answer(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    for (const address of addresses) this.#answered.add(address);
    const bridge = findLink(this.#parts.socket, this.plan.bridge);
    try {
      if (bridge) announceOn(bridge, addresses);
    } catch (error) {
      // The bridge is down; the next check comes.
      if (!isKernelError(error)) throw error;
    }
  }

  /** Whether packets for the host go without VXLAN, at least some. */
  isDirect(host: string): boolean {
    return (this.#direct.get(host) ?? []).length > 0;
  }

  /** The next hop of packets for an address of the host; undefined: they go by VXLAN. */
  directWay(host: string, address: string): string | undefined {
    const ranges = this.#direct.get(host) ?? [];
    const ip = ranges.length > 0 ? findIp(address) : undefined;
    return ip && ranges.find(({ range }) => cidrHasIp(range, ip))?.gateway;
  }

  /** Whether the host is on this one's segment: its address is reached by the link with ours, by no router. */
  #isNear(host: string): boolean {
    const known = this.#near.get(host);
    if (known !== undefined) return known;
    let near = false;
    try {
      const { type, gateway, link } = getRoute(this.#parts.socket, host);
      near = type === 'unicast' && gateway === undefined && link === this.#segment?.link.index;
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
    this.#near.set(host, near);
    return near;
  }

  #settleNames(): void {
    if (this.#directory === undefined) return;
    const usable = this.#remotes.filter(({ problem }) => problem === undefined);
    this.#naming = true;
    try {
      this.#names.settle(this.#directory, usable);
    } finally {
      this.#naming = false;
    }
  }

  #announce(): void {
    const endpoints = this.#parts.registry
      .endpoints(this.networkId)
      .filter(({ state, macAddress }) => state === 'joined' && macAddress !== undefined)
      .map((endpoint) => this.#share(endpoint));
    this.#told.clear();
    for (const shared of endpoints) this.#told.set(shared.id, JSON.stringify(shared));
    if (!this.#underlay) return;
    const own = this.#own(this.#underlay);
    this.#toldAttributes = JSON.stringify(own.attributes);
    this.#parts.plane.announce({ ...own, endpoints }, this.options.peers);
  }

  #share(endpoint: RegistryEndpoint): SharedEndpoint {
    const { endpointId: id, addresses, macAddress: mac = '' } = endpoint;
    return { id, addresses, mac, names: localNames(this.#directory, endpoint) };
  }

  #own(underlay: Underlay): Omit<SharedNetwork, 'endpoints'> {
    const endpoints = this.#parts.registry.endpoints(this.networkId);
    const groups = this.#multicast.wanted(endpoints.flatMap(({ addresses }) => addresses));
    const attributes = {
      ...(this.options.encrypted && { tunnel: JSON.stringify(this.#parts.tunnel.shared()) }),
      ...(groups && { groups: groupsText(groups) }),
      ...(this.#segment && directAttributes(this.#segment.self)),
    };
    return { ...this.#frame(underlay), attributes };
  }

  /** What must be the same on all hosts, and where this one is. */
  #frame({ address: host }: Underlay): Omit<SharedNetwork, 'endpoints' | 'attributes'> {
    const { name, vni, port, shares } = this.options;
    const pools = this.plan.pools.map(({ pool }) => pool);
    const gateways = this.plan.pools.flatMap(({ gateway }) => gateway ?? []);
    return { name, vni, port, shares, host, pools, gateways };
  }

  /** Where a host sends the network's frames to. */
  vtepOf(host: string): string {
    return this.options.encrypted ? tunnelAddress(host) : host;
  }

  /** Each time that what is wrong changes. */
  #complain(): void {
    const wrong = this.#remotes.filter(({ problem, refused }) => problem !== undefined || refused > 0);
    const complaints = JSON.stringify(wrong.map(({ host, problem, refused }) => [host, problem, refused]));
    if (complaints === this.#complaints) return;
    this.#complaints = complaints;
    for (const { host, hostName, problem, refused } of wrong) {
      this.#parts.log.warn(
        { network: this.options.name, host, hostName, reason: problem ?? `${refused} addresses are not its to give` },
        'not everything that a host says of the network can be used',
      );
    }
  }
}

/** Undefined where the link has no IPv6, or somebody else has the address. */
function findLinkLocal(socket: RouteSocket, link: number): string | undefined {
  return listAddresses(socket, { link, family: 6 }).find(
    ({ scope, tentative, dadFailed }) => scope === 'link' && !tentative && !dadFailed,
  )?.address;
}
