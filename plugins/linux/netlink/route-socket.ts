/** The socket for links, addresses, routes and neighbours of one namespace, and their changes as they happen. */
import { isKernelError } from '../errors.ts';
import type { Netns } from '../netns.ts';
import { type Address, RTM_DELADDR, RTM_NEWADDR, readAddress } from './address.ts';
import { deleteLink, type Link, RTM_DELLINK, RTM_NEWLINK, readLink } from './link.ts';
import type { Message } from './message.ts';
import { NetlinkMonitor } from './monitor.ts';
import { type GroupEntry, RTM_DELMDB, RTM_NEWMDB, readGroups } from './multicast.ts';
import {
  type FdbEntry,
  isFdb,
  type Neighbour,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
  readFdbEntry,
  readNeighbour,
} from './neighbour.ts';
import { isClonedRoute, type Route, RTM_DELROUTE, RTM_NEWROUTE, readRoutes } from './route.ts';
import { NETLINK_ROUTE, NetlinkSocket, type Request } from './socket.ts';

export class RouteSocket extends NetlinkSocket {
  /** In the given namespace, else in that of the caller. Opening costs 20 us: open one for each piece of work. */
  constructor(netns?: Netns) {
    super(NETLINK_ROUTE, netns);
  }
}

/**
 * Runs requests on a pool thread, over a socket of their own, so that deletions of veths do not stop the event loop. The
 * namespace is entered before this returns and may be closed then.
 */
export async function applyOnThread(netns: Netns | undefined, ...requests: readonly Request[]): Promise<void> {
  using socket = new RouteSocket(netns);
  await socket.applyOnThread(...requests);
}

/** Deletes the link off the event loop (a veth takes 18 ms, and takes its other end along); success when there is none. */
export async function removeLink(name: string, netns?: Netns): Promise<void> {
  try {
    await applyOnThread(netns, deleteLink(name));
  } catch (error) {
    if (!isKernelError(error, 'ENODEV')) throw error;
  }
}

export type RouteChange =
  | { readonly kind: 'link'; readonly change: 'new' | 'deleted'; readonly link: Link }
  | { readonly kind: 'address'; readonly change: 'new' | 'deleted'; readonly address: Address }
  | { readonly kind: 'route'; readonly change: 'new' | 'deleted'; readonly route: Route }
  | { readonly kind: 'neighbour'; readonly change: 'new' | 'deleted'; readonly neighbour: Neighbour }
  | { readonly kind: 'group'; readonly change: 'new' | 'deleted'; readonly entry: GroupEntry }
  | { readonly kind: 'fdb'; readonly change: 'new' | 'deleted'; readonly entry: FdbEntry };

/** RTNLGRP_*, <linux/rtnetlink.h> */
const groups = { link: [1], address: [5, 9], route: [7, 11], neighbour: [3], group: [26] } as const;

export interface RouteMonitorOptions {
  readonly netns?: Netns;
  readonly topics: readonly (keyof typeof groups)[];
  readonly onChange: (change: RouteChange) => void;
  /** Changes were lost because they came faster than they were read: look at everything again. */
  readonly onLost: () => void;
}

/** Calls back on the event loop for changes by anyone, ours included. Close it to end. */
export function monitorRoutes({ netns, topics, onChange, onLost }: RouteMonitorOptions): NetlinkMonitor {
  return new NetlinkMonitor({
    protocol: NETLINK_ROUTE,
    groups: topics.flatMap((topic) => [...groups[topic]]),
    onMessage: (message) => {
      for (const change of readChanges(message)) onChange(change);
    },
    onLost,
    ...(netns && { netns }),
  });
}

function readChanges({ type, body }: Message): RouteChange[] {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      // In family AF_BRIDGE the same numbers tell of bridge ports, without the link's own attributes.
      if (body.readUInt8(0) !== 0) return [];
      return [{ kind: 'link', change: type === RTM_NEWLINK ? 'new' : 'deleted', link: readLink(body) }];
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return [{ kind: 'address', change: type === RTM_NEWADDR ? 'new' : 'deleted', address: readAddress(body) }];
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (isClonedRoute(body)) return [];
      return readRoutes(body).map((route) => ({
        kind: 'route',
        change: type === RTM_NEWROUTE ? 'new' : 'deleted',
        route,
      }));
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return readNeighbourChange(type === RTM_NEWNEIGH ? 'new' : 'deleted', body);
    case RTM_NEWMDB:
    case RTM_DELMDB: {
      const change = type === RTM_NEWMDB ? 'new' : 'deleted';
      return readGroups(body).map((entry) => ({ kind: 'group', change, entry }));
    }
    default:
      return [];
  }
}

function readNeighbourChange(change: 'new' | 'deleted', body: Buffer): RouteChange[] {
  if (isFdb(body)) return [{ kind: 'fdb', change, entry: readFdbEntry(body) }];
  const neighbour = readNeighbour(body);
  return neighbour ? [{ kind: 'neighbour', change, neighbour }] : [];
}
