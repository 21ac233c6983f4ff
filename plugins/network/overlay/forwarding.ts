/**
 * What this host knows of the others' containers, as the kernel has it. For every remote address three entries, so that neither
 * an ARP nor an ND question nor a frame to a known address is ever flooded:
 *
 *     neighbour on the bridge      address → MAC      answers ARP and ND of containers here (neigh_suppress), and the host's own
 *     FDB of the bridge            MAC → the VXLAN
 *     FDB of the VXLAN             MAC → the other host
 *
 * and one all-zero entry of the VXLAN for every host of the network: broadcast, multicast and unknown frames go to each.
 *
 * Of hosts that are reached directly, beside these:
 *
 *     route                        range → the other host
 *     neighbour on the bridge      address → the bridge's own MAC: frames to it go to this host, which routes
 *     proxy on the bridge          address            answers ARP and ND in place of neigh_suppress, which knows no MAC of the bridge
 */
import { isKernelError } from '../../linux/errors.ts';
import { ipBytes, ipText } from '../../linux/netlink/address-bytes.ts';
import { getLink } from '../../linux/netlink/link.ts';
import {
  appendFdbEntry,
  deleteFdbEntry,
  deleteNeighbour,
  type FdbEntry,
  listFdb,
  listNeighbours,
  type Neighbour,
  replaceFdbEntry,
  replaceNeighbour,
} from '../../linux/netlink/neighbour.ts';
import { addRoute, deleteRoute, listRoutes, RT_TABLE_MAIN } from '../../linux/netlink/route.ts';
import type { RouteChange, RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';
import { type Cidr, cidrHasCidr, parseCidr } from '../address/cidr.ts';

export interface RemoteAddress {
  readonly addresses: readonly string[];
  /** Those of them that a route leads to. */
  readonly routed: readonly string[];
  readonly mac: string;
  /** The host's address on the underlay. */
  readonly host: string;
}

export interface Destinations {
  /** Hosts that have the network. */
  readonly hosts: readonly string[];
  readonly remotes: readonly RemoteAddress[];
  readonly routes: readonly DirectRoute[];
}

export interface DirectRoute {
  /** CIDR. */
  readonly destination: string;
  readonly gateway: string;
  readonly link: number;
}

export interface ForwardingLinks {
  readonly vxlan: number;
  readonly bridge: number;
  /** Subnets in which there may be routes. */
  readonly routed: readonly Cidr[];
}

const everybody = '00:00:00:00:00:00';
const batch = 256;
/** Who made our routes (rtm_protocol), and their metric, by which nobody else's are replaced: the letter c. */
const protocol = 99;

const passing = ['ENOENT', 'EEXIST', 'ENODEV', 'ESRCH', 'ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH'];

/** kind|key|value → how to make it and how to take it away. */
interface Entry {
  readonly add: () => Request;
  readonly remove: () => Request;
  /** Entries that only one value is possible for: a new one takes the place of the old one. */
  readonly slot: string;
  readonly proxied?: string;
}

/** How many entries were made and taken away. */
export interface Settled {
  readonly added: number;
  readonly removed: number;
  /** Addresses that the bridge answers for from now on. */
  readonly answered: readonly string[];
}

interface Links extends ForwardingLinks {
  /** Of the bridge. */
  readonly mac: string;
}

export class Forwarding {
  readonly #socket: RouteSocket;
  #links: Links | undefined;
  /** As they follow from what a host said of one container, on these links. */
  #entries = new WeakMap<RemoteAddress, readonly [string, Entry][]>();
  #present = new Map<string, Entry>();
  /** Entries that somebody else took away or made, by the kernel's news. */
  readonly #suspects = new Set<string>();
  /** Of what was wanted last. */
  #slots: ReadonlyMap<string, unknown> = new Map();

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** Reads what the kernel has: at start, and when somebody may have changed it. */
  load(links: ForwardingLinks): void {
    const { vxlan, bridge, routed } = links;
    const { mac } = getLink(this.#socket, bridge);
    const before = this.#links;
    if (before?.vxlan !== vxlan || before.bridge !== bridge || before.mac !== mac) this.#entries = new WeakMap();
    this.#links = { ...links, mac };
    this.#present = new Map();
    this.#suspects.clear();
    const note = (entry: [string, Entry] | undefined) => entry && this.#present.set(...entry);
    for (const entry of listFdb(this.#socket, { link: vxlan })) note(fdbEntry(entry));
    for (const neighbour of listNeighbours(this.#socket, { link: bridge })) note(permanentEntry(neighbour));
    if (routed.length === 0) return;
    for (const entry of this.#listDirect(this.#links)) note(entry);
  }

  /** News of the kernel about an entry, by whoever: those that we did not cause are remembered. */
  heard(change: RouteChange): void {
    if (this.#links === undefined) return;
    const { vxlan, bridge } = this.#links;
    if (change.kind === 'fdb' && change.entry.link === vxlan) {
      const [key] = fdbEntry(change.entry) ?? [];
      if (key !== undefined) this.#suspect(key, this.#present.has(key) !== (change.change === 'new'));
    }
    if (change.kind === 'neighbour' && change.neighbour.link === bridge && !change.neighbour.proxy) {
      const slot = `neighbour ${change.neighbour.address}`;
      const [key] = (change.change === 'new' && permanentEntry(change.neighbour)) || [];
      // One that goes is told of without its MAC.
      this.#suspect(slot, key === undefined ? this.#slots.has(slot) : !this.#present.has(key));
    }
  }

  /** News were lost. */
  missed(): void {
    this.#suspects.add('all');
  }

  #suspect(what: string, is: boolean): void {
    if (is) this.#suspects.add(what);
    else this.#suspects.delete(what);
  }

  /** Whether the kernel has what it was given, by its news; of routes and proxies it is asked. */
  isWhole(): boolean {
    if (this.#suspects.size > 0 || this.#links === undefined) return false;
    if (this.#links.routed.length === 0) return true;
    const direct = [...this.#present].filter(([, { slot }]) => /^(route|proxy) /.test(slot)).map(([key]) => key);
    const there = this.#listDirect(this.#links).map(([key]) => key);
    return direct.sort().join() === there.sort().join();
  }

  #listDirect({ bridge, routed }: Links): [string, Entry][] {
    const proxies = listNeighbours(this.#socket, { link: bridge, proxy: true });
    return [
      ...ourRoutes(this.#socket, routed).map(routeEntry),
      ...proxies.map(({ address }) => proxyEntry(bridge, address)),
    ];
  }

  /** Brings the kernel to what is wanted. With `keep`, what is not wanted stays: who said it may not have spoken yet. */
  settle({ hosts, remotes, routes }: Destinations, keep = false): Settled {
    if (this.#links === undefined) return { added: 0, removed: 0, answered: [] };
    const { vxlan } = this.#links;
    const slots = new Map<string, [string, Entry]>();
    // Of two that claim one slot the kernel has the later one, and so do we.
    const want = (entry: [string, Entry]) => slots.set(entry[1].slot, entry);
    for (const host of hosts) want(tunnelEntry(vxlan, everybody, host));
    // Before the answers that lead containers to them.
    for (const route of routes) want(routeEntry(route));
    for (const remote of remotes) for (const entry of this.#entriesOf(remote, this.#links)) want(entry);
    this.#slots = slots;
    const wanted = new Map(slots.values());
    const gone = [...this.#present].filter(([key, { slot }]) => !wanted.has(key) && (!keep || slots.has(slot)));
    const fresh = [...wanted].filter(([key]) => !this.#present.has(key));
    // First away, then new: what changed places has the same key in the kernel.
    this.#run(gone.map(([, entry]) => entry.remove()));
    for (const [key] of gone) this.#present.delete(key);
    this.#run(fresh.map(([, entry]) => entry.add()));
    for (const [key, entry] of fresh) this.#present.set(key, entry);
    const answered = fresh.flatMap(([, { proxied }]) => proxied ?? []);
    return { added: fresh.length, removed: gone.length, answered };
  }

  #entriesOf(remote: RemoteAddress, { vxlan, bridge, mac: gateway }: Links): readonly [string, Entry][] {
    const known = this.#entries.get(remote);
    if (known) return known;
    const { mac, host, addresses, routed } = remote;
    const entries = [tunnelEntry(vxlan, mac, host), portEntry(vxlan, mac)];
    for (const address of addresses) {
      const direct = routed.includes(address);
      if (direct) entries.push(proxyEntry(bridge, address));
      entries.push(neighbourEntry(bridge, address, direct ? gateway : mac));
    }
    this.#entries.set(remote, entries);
    return entries;
  }

  /** What does not go with the links. */
  close(): void {
    const routes = [...this.#present.values()].filter(({ slot }) => slot.startsWith('route '));
    this.#run(routes.map(({ remove }) => remove()));
    this.#present = new Map();
    this.#links = undefined;
  }

  get size(): number {
    return this.#present.size;
  }

  #run(requests: readonly Request[]): void {
    for (let at = 0; at < requests.length; at += batch) {
      for (const error of this.#socket.attempt(requests.slice(at, at + batch))) {
        // A link that went away took its entries along; whoever rebuilds it loads anew.
        if (error && !isKernelError(error, ...passing)) throw error;
      }
    }
  }
}

/** In the spelling of what is read back: IPv6 has several for one address. */
export function asKernel(address: string): string {
  return ipText(ipBytes(address));
}

/** Takes away routes of ours that lie in none of the subnets: those of networks that no record knows any more. */
export function dropStrayRoutes(socket: RouteSocket, known: readonly Cidr[]): void {
  const strays = listRoutes(socket, { table: RT_TABLE_MAIN }).filter(
    (route) => route.protocol === protocol && !known.some((pool) => cidrHasCidr(pool, parseCidr(route.destination))),
  );
  socket.attempt(
    strays.map(({ destination, link, metric }) =>
      deleteRoute({ destination, metric, protocol, ...(link && { link }) }),
    ),
  );
}

function ourRoutes(socket: RouteSocket, pools: readonly Cidr[]): DirectRoute[] {
  return listRoutes(socket, { table: RT_TABLE_MAIN }).flatMap(({ destination, gateway, link, protocol: by }) => {
    const ours = by === protocol && pools.some((pool) => cidrHasCidr(pool, parseCidr(destination)));
    return ours && gateway !== undefined && link !== undefined ? [{ destination, gateway, link }] : [];
  });
}

function routeEntry(route: DirectRoute): [string, Entry] {
  const { destination, link } = route;
  const gateway = asKernel(route.gateway);
  const whole = { destination, gateway, link, metric: protocol, protocol };
  const slot = `route ${destination}`;
  return [`${slot} ${gateway} ${link}`, { add: () => addRoute(whole), remove: () => deleteRoute(whole), slot }];
}

function proxyEntry(link: number, given: string): [string, Entry] {
  const address = asKernel(given);
  const entry = { link, address, proxy: true };
  const key = `proxy ${address}`;
  const [add, remove] = [() => replaceNeighbour(entry), () => deleteNeighbour(entry)];
  return [key, { add, remove, slot: key, proxied: address }];
}

/** undefined: none of ours. */
function fdbEntry({ link, mac, destination, table, lifetime }: FdbEntry): [string, Entry] | undefined {
  if (table === 'self') return destination === undefined ? undefined : tunnelEntry(link, mac, destination);
  return lifetime === 'static' ? portEntry(link, mac) : undefined;
}

function permanentEntry({ link, address, mac, state, proxy }: Neighbour): [string, Entry] | undefined {
  return state === 'permanent' && mac !== undefined && !proxy ? neighbourEntry(link, address, mac) : undefined;
}

function tunnelEntry(link: number, mac: string, destination: string): [string, Entry] {
  const entry = { link, mac, destination, table: 'self' } as const;
  const toAll = mac === everybody;
  const key = `tunnel ${mac} ${destination}`;
  const add = () => (toAll ? appendFdbEntry(entry) : replaceFdbEntry(entry));
  return [key, { add, remove: () => deleteFdbEntry(entry), slot: toAll ? key : `tunnel ${mac}` }];
}

function portEntry(link: number, mac: string): [string, Entry] {
  const entry = { link, mac, table: 'master' } as const;
  const key = `port ${mac}`;
  return [key, { add: () => replaceFdbEntry(entry), remove: () => deleteFdbEntry(entry), slot: key }];
}

function neighbourEntry(link: number, given: string, mac: string): [string, Entry] {
  const address = asKernel(given);
  const add = () => replaceNeighbour({ link, address, mac });
  return [
    `neighbour ${address} ${mac}`,
    { add, remove: () => deleteNeighbour({ link, address }), slot: `neighbour ${address}` },
  ];
}
