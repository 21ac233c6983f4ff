/** A link goes into another network namespace and gets its name, addresses and routes there; and comes back. */
import { addAddress } from './netlink/address.ts';
import { changeLink, deleteLink, findLink, getLink, listLinks } from './netlink/link.ts';
import { addRoute, deleteRoute, listRoutes } from './netlink/route.ts';
import { RouteSocket } from './netlink/route-socket.ts';
import { openNetns, ownNetns } from './netns.ts';

export interface SandboxRoute {
  /** CIDR. */
  readonly destination: string;
  /** Absent: on the link itself. */
  readonly nextHop?: string;
}

export interface SandboxLinkPlan {
  /** The driver's link in our own namespace. */
  readonly srcName: string;
  readonly dstPrefix: string;
  /** A name that the driver or the user chose; else the prefix and the first free number. */
  readonly dstName?: string;
  readonly macAddress?: string;
  /** CIDR. */
  readonly addresses: readonly string[];
  readonly staticRoutes: readonly SandboxRoute[];
}

/** Moves and sets up the link; returns its name inside. Undone by moveOut, or by the end of the namespace. */
export function moveIn(key: string, plan: SandboxLinkPlan): string {
  using netns = openNetns(key);
  using host = new RouteSocket();
  using inside = new RouteSocket(netns);
  const link = getLink(host, plan.srcName);
  const name =
    plan.dstName ||
    freeName(
      listLinks(inside).map((other) => other.name),
      plan.dstPrefix,
    );
  host.apply(changeLink(link.index, { up: false }));
  host.apply(changeLink(link.index, { netnsFd: netns.fd }));
  const { index } = getLink(inside, plan.srcName);
  inside.apply(changeLink(index, { name, ...(plan.macAddress ? { mac: plan.macAddress } : {}) }));
  // Usable at once, as engines make them: whoever gave the address out knows that nobody else has it.
  for (const address of plan.addresses)
    inside.apply(addAddress({ link: index, address, noDad: address.includes(':') }));
  inside.apply(changeLink(index, { up: true }));
  for (const route of plan.staticRoutes) {
    inside.apply(
      addRoute({
        link: index,
        destination: route.destination,
        ...(route.nextHop ? { gateway: route.nextHop } : { scope: 'link' }),
      }),
    );
  }
  return name;
}

/** Back to our namespace under its old name, after the driver's leave; success when the link is gone. */
export function moveOut(key: string, name: string, srcName: string): void {
  using netns = openNetns(key);
  using inside = new RouteSocket(netns);
  using own = ownNetns();
  const link = findLink(inside, name);
  if (link === undefined) return;
  inside.apply(changeLink(link.index, { up: false }));
  inside.apply(changeLink(link.index, { name: srcName }));
  try {
    inside.apply(changeLink(link.index, { netnsFd: own.fd }));
  } catch {
    // A namesake stands in the way: the driver made its pair anew. Ours has no use any more.
    inside.apply(deleteLink(link.index));
  }
}

/** Replaces the default routes of the sandbox. */
export function setDefaultRoutes(
  key: string,
  gateways: { readonly gateway?: string; readonly gatewayIPv6?: string },
): void {
  using netns = openNetns(key);
  using inside = new RouteSocket(netns);
  const wanted = [
    { family: 4, gateway: gateways.gateway, destination: '0.0.0.0/0' },
    { family: 6, gateway: gateways.gatewayIPv6, destination: '::/0' },
  ] as const;
  for (const { family, gateway, destination } of wanted) {
    const present = listRoutes(inside, { family }).filter((route) => route.destination === destination);
    for (const { gateway: old } of present)
      if (old !== undefined) inside.apply(deleteRoute({ destination, gateway: old }));
    if (gateway !== undefined) inside.apply(addRoute({ destination, gateway }));
  }
}

function freeName(taken: readonly string[], prefix: string): string {
  for (let number = 0; ; number += 1) if (!taken.includes(`${prefix}${number}`)) return `${prefix}${number}`;
}
