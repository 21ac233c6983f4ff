/**
 * What this host knows of the others' containers, as the kernel has it. For every remote address three entries, so that neither
 * an ARP nor an ND question nor a frame to a known address is ever flooded:
 *
 *     neighbour on the bridge      address → MAC      answers ARP and ND of containers here (neigh_suppress), and the host's own
 *     FDB of the bridge            MAC → the VXLAN
 *     FDB of the VXLAN             MAC → the other host
 *
 * and one all-zero entry of the VXLAN for every host of the network: broadcast, multicast and unknown frames go to each.
 */
import { isKernelError } from '../../linux/errors.ts';
import {
  appendFdbEntry,
  deleteFdbEntry,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  replaceFdbEntry,
  replaceNeighbour,
} from '../../linux/netlink/neighbour.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';

export interface RemoteAddress {
  readonly addresses: readonly string[];
  readonly mac: string;
  /** The host's address on the underlay. */
  readonly host: string;
}

export interface Destinations {
  /** Hosts that have the network. */
  readonly hosts: readonly string[];
  readonly remotes: readonly RemoteAddress[];
}

const everybody = '00:00:00:00:00:00';
const batch = 256;

/** kind|key|value → how to make it and how to take it away. */
interface Entry {
  readonly add: Request;
  readonly remove: Request;
  /** Entries that only one value is possible for: a new one takes the place of the old one. */
  readonly slot: string;
}

export class Forwarding {
  readonly #socket: RouteSocket;
  #links: { readonly vxlan: number; readonly bridge: number } | undefined;
  #present = new Map<string, Entry>();

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** Reads what the kernel has: at start, and when somebody may have changed it. */
  load(vxlan: number, bridge: number): void {
    this.#links = { vxlan, bridge };
    this.#present = new Map();
    const note = (entry: [string, Entry]) => this.#present.set(...entry);
    for (const { mac, destination, table, lifetime } of listFdb(this.#socket, { link: vxlan })) {
      if (table === 'self' && destination !== undefined) note(tunnelEntry(vxlan, mac, destination));
      if (table === 'master' && lifetime === 'static') note(portEntry(vxlan, mac));
    }
    for (const { address, mac, state } of listNeighbours(this.#socket, { link: bridge })) {
      if (state === 'permanent' && mac !== undefined) note(neighbourEntry(bridge, address, mac));
    }
  }

  /** Brings the kernel to what is wanted. With `keep`, what is not wanted stays: who said it may not have spoken yet. */
  settle({ hosts, remotes }: Destinations, keep = false): { readonly added: number; readonly removed: number } {
    if (this.#links === undefined) return { added: 0, removed: 0 };
    const { vxlan, bridge } = this.#links;
    const slots = new Map<string, [string, Entry]>();
    // Of two that claim one slot the kernel has the later one, and so do we.
    const want = (entry: [string, Entry]) => slots.set(entry[1].slot, entry);
    for (const host of hosts) want(tunnelEntry(vxlan, everybody, host));
    for (const { mac, host, addresses } of remotes) {
      want(tunnelEntry(vxlan, mac, host));
      want(portEntry(vxlan, mac));
      for (const address of addresses) want(neighbourEntry(bridge, address, mac));
    }
    const wanted = new Map(slots.values());
    const gone = [...this.#present].filter(([key, { slot }]) => !wanted.has(key) && (!keep || slots.has(slot)));
    const fresh = [...wanted].filter(([key]) => !this.#present.has(key));
    // First away, then new: what changed places has the same key in the kernel.
    this.#run(gone.map(([, entry]) => entry.remove));
    for (const [key] of gone) this.#present.delete(key);
    this.#run(fresh.map(([, entry]) => entry.add));
    for (const [key, entry] of fresh) this.#present.set(key, entry);
    return { added: fresh.length, removed: gone.length };
  }

  get size(): number {
    return this.#present.size;
  }

  #run(requests: readonly Request[]): void {
    for (let at = 0; at < requests.length; at += batch) {
      for (const error of this.#socket.attempt(requests.slice(at, at + batch))) {
        // A link that went away took its entries along; whoever rebuilds it loads anew.
        if (error && !['ENOENT', 'EEXIST', 'ENODEV'].some((name) => isKernelError(error, name))) throw error;
      }
    }
  }
}

function tunnelEntry(link: number, mac: string, destination: string): [string, Entry] {
  const entry = { link, mac, destination, table: 'self' } as const;
  const toAll = mac === everybody;
  const key = `tunnel ${mac} ${destination}`;
  const add = toAll ? appendFdbEntry(entry) : replaceFdbEntry(entry);
  return [key, { add, remove: deleteFdbEntry(entry), slot: toAll ? key : `tunnel ${mac}` }];
}

function portEntry(link: number, mac: string): [string, Entry] {
  const entry = { link, mac, table: 'master' } as const;
  const key = `port ${mac}`;
  return [key, { add: replaceFdbEntry(entry), remove: deleteFdbEntry(entry), slot: key }];
}

function neighbourEntry(link: number, address: string, mac: string): [string, Entry] {
  const add = replaceNeighbour({ link, address, mac });
  return [
    `neighbour ${address} ${mac}`,
    { add, remove: deleteNeighbour({ link, address }), slot: `neighbour ${address}` },
  ];
}
