/**
 * The link that a network is built on: an interface of the host, a VLAN on one (made by us when it is missing, shared by the
 * networks that name it, taken away with the last), or for internal networks a link without a wire.
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeLink, createLink, deleteLink, findLink, type Link, listLinks } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Table } from '../../store/store.ts';
import { networkAlias, networkKey } from '../link/names.ts';
import type { ParentRecord } from './records.ts';

export interface ParentWish {
  readonly networkId: string;
  /** Undefined: the network has no wire. */
  readonly name: string | undefined;
  readonly kind: 'macvlan' | 'ipvlan';
}

export class Parents {
  readonly #socket: RouteSocket;
  readonly #records: Table<ParentRecord>;

  constructor(socket: RouteSocket, records: Table<ParentRecord>) {
    this.#socket = socket;
    this.#records = records;
  }

  /** The parent, made where we may make it. Throws NET_PARENT_NOT_FOUND, NET_PARENT_TAKEN, NET_KERNEL. */
  ensure(wish: ParentWish): Link {
    const name = parentName(wish);
    const present = findLink(this.#socket, name);
    if (present !== undefined) {
      refusePort(this.#socket, present);
      this.#refuseOtherKind(present, wish);
      if (this.#records.has(name)) this.#hold(name, wish.networkId);
      return present;
    }
    const vlan = wish.name === undefined ? undefined : this.#vlanOf(wish.name);
    // Known before it is made: after a crash it is found by its record.
    this.#hold(name, wish.networkId);
    try {
      if (vlan === undefined) this.#makeWireless(name, wish.networkId);
      else this.#makeVlan(name, vlan);
    } catch (error) {
      // Nothing was made, so nothing may be deleted: the name may be somebody else's by now.
      this.#letGo(name, wish.networkId);
      throw error;
    }
    return this.get(wish);
  }

  find(wish: ParentWish): Link | undefined {
    return findLink(this.#socket, parentName(wish));
  }

  get(wish: ParentWish): Link {
    const link = this.find(wish);
    if (link === undefined) throw notFound(parentName(wish));
    return link;
  }

  /** The network is gone: a link that we made goes with its last one. */
  release({ networkId, ...wish }: ParentWish): void {
    const name = parentName({ networkId, ...wish });
    if (!this.#records.has(name) || this.#letGo(name, networkId)) return;
    for (const error of this.#socket.attempt([deleteLink(name)])) {
      if (error && !isKernelError(error, 'ENODEV')) throw error;
    }
  }

  /** Names of the links that we made. */
  names(): string[] {
    return this.#records.entries().map(([name]) => name);
  }

  #hold(name: string, networkId: string): void {
    const ids = this.#records.get(name)?.networkIds ?? [];
    if (!ids.includes(networkId)) this.#records.put(name, { name, networkIds: [...ids, networkId] });
  }

  /** Whether other networks still hold it. */
  #letGo(name: string, networkId: string): boolean {
    const rest = this.#records.get(name)?.networkIds.filter((id) => id !== networkId) ?? [];
    if (rest.length > 0) this.#records.put(name, { name, networkIds: rest });
    else this.#records.delete(name);
    return rest.length > 0;
  }

  #vlanOf(name: string): { readonly base: Link; readonly id: number } {
    const vlan = splitVlan(name);
    const base = vlan && findLink(this.#socket, vlan.base);
    if (vlan === undefined || base === undefined) throw notFound(name);
    return { base, id: vlan.id };
  }

  #makeVlan(name: string, { base, id }: { readonly base: Link; readonly id: number }): void {
    try {
      this.#socket.apply(createLink({ kind: 'vlan', name, parent: base.index, options: { id } }));
      this.#socket.apply(changeLink(name, { up: true }));
    } catch (error) {
      if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
      throw new PluginError('NET_KERNEL', `this kernel has no VLAN links, which parent=${name} needs`, {
        hint: 'run: modprobe 8021q',
        cause: error,
      });
    }
  }

  /** A dummy; where the kernel has none, a bridge without ports, which carries nothing either. */
  #makeWireless(name: string, networkId: string): void {
    const up = { up: true, alias: networkAlias(networkId) };
    try {
      this.#socket.apply(createLink({ kind: 'dummy', name }), changeLink(name, up));
    } catch (error) {
      if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
      this.#socket.apply(createLink({ kind: 'bridge', name }), changeLink(name, up));
    }
  }

  /** The kernel gives a parent to one of the two only, and says no more than EBUSY. */
  #refuseOtherKind(parent: Link, { kind }: ParentWish): void {
    const other = kind === 'macvlan' ? 'ipvlan' : 'macvlan';
    const taken = listLinks(this.#socket, { kind: other }).find((link) => link.parent === parent.index);
    if (taken === undefined) return;
    throw new PluginError('NET_PARENT_TAKEN', `parent ${parent.name} already carries ${other} links (${taken.name})`, {
      hint: `one interface serves macvlan or ipvlan, not both: use -d cleat-${other}, or another parent`,
    });
  }
}

/** Those that take all frames of their ports. */
const takers = new Set(['bridge', 'bond', 'team', 'openvswitch']);

/** What the kernel refuses at the first container only: loopback, and what another interface has taken. Throws PROTO_OPTION, NET_PARENT_TAKEN. */
function refusePort(socket: RouteSocket, { name, loopback, master }: Link): void {
  if (loopback) {
    throw new PluginError('PROTO_OPTION', `parent=${name}: the loopback interface cannot be a parent`, {
      hint: 'name an interface of the LAN, or leave parent away for a network without a wire',
    });
  }
  const taker = master === 0 ? undefined : findLink(socket, master);
  if (taker === undefined || !takers.has(taker.kind)) return;
  throw new PluginError('NET_PARENT_TAKEN', `parent ${name} is a port of ${taker.name}`, {
    hint: `use -o parent=${taker.name}, by which the same LAN is reached`,
  });
}

export function parentName({ networkId, name }: Pick<ParentWish, 'networkId' | 'name'>): string {
  return name ?? `cd-${networkKey(networkId)}`;
}

/** `eth0.10` is VLAN 10 of eth0; undefined for a name that is none. */
export function splitVlan(name: string): { readonly base: string; readonly id: number } | undefined {
  const match = /^(.+)\.([0-9]{1,4})$/.exec(name);
  const id = Number(match?.[2]);
  return match?.[1] !== undefined && id >= 1 && id <= 4094 ? { base: match[1], id } : undefined;
}

function notFound(name: string): PluginError {
  return new PluginError('NET_PARENT_NOT_FOUND', `parent interface "${name}" does not exist on this host`, {
    hint: 'create it, or pass -o parent=INTERFACE; `ip link` lists them. NAME.NUMBER makes a VLAN of NAME',
  });
}
