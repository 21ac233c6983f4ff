/**
 * The wire between a container and a bridge: a veth whose host end is a port of the bridge and whose container end waits in
 * the engine's namespace, under our name, until the engine moves and renames it. For every driver that bridges.
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeLink, createVeth, findLink, getLink } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { containerEndName, endpointAlias, hostEndName } from './names.ts';

export interface VethPlan {
  readonly endpointId: string;
  readonly bridge: BridgeRef;
  /** Of the container end. */
  readonly macAddress: string;
  /** Cut off from other isolated ports of the bridge. */
  readonly isolated: boolean;
}

/** A bridge in the kernel, as it was when it was last looked at. */
export interface BridgeRef {
  readonly name: string;
  readonly index: number;
  /** That of the veth's both ends. */
  readonly mtu: number;
}

/** Creates it, or finds the one that an earlier, interrupted call left. Throws NET_LINK. */
export function createEndpointVeth(socket: RouteSocket, plan: VethPlan): void {
  const { endpointId, bridge, macAddress: mac, isolated } = plan;
  const name = hostEndName(endpointId);
  const peer = { name: containerEndName(endpointId), mac, mtu: bridge.mtu, queues: 1 };
  const outcomes = socket.attempt([
    createVeth({ name, mtu: bridge.mtu, master: bridge.index, queues: 1, peer }),
    ...settleRequests(plan),
  ]);
  const [creation, ...rest] = outcomes;
  if (creation && isKernelError(creation, 'EEXIST')) {
    checkOwner(socket, name, endpointAlias(endpointId));
    socket.apply(
      changeLink(name, { master: bridge.index, mtu: bridge.mtu }),
      changeLink(name, { up: true }, { isolated }),
    );
    return;
  }
  const failure = creation ?? rest.find((outcome) => outcome !== undefined);
  if (!failure) return;
  throw new PluginError('NET_LINK', `the veth ${name} on ${bridge.name} could not be made: ${failure.message}`, {
    cause: failure,
  });
}

/** Makes an existing host end a port of the bridge again, after the bridge was built anew. */
export function reattachVeth(socket: RouteSocket, endpointId: string, bridge: string, isolated: boolean): void {
  const name = hostEndName(endpointId);
  socket.apply(
    changeLink(name, { master: getLink(socket, bridge).index, up: true }),
    changeLink(name, {}, { isolated }),
  );
}

/**
 * What the kernel does not take at creation, sent in the same call so that no crash comes between. A port of a bridge needs
 * no address of its own, and every link-local one costs groups and announcements.
 */
function settleRequests({ endpointId, isolated }: VethPlan): Request[] {
  const name = hostEndName(endpointId);
  return [
    changeLink(name, { alias: endpointAlias(endpointId), linkLocal: 'none' }, { isolated }),
    changeLink(name, { up: true }),
  ];
}

/** The name holds 40 bits of the id: two endpoints may share it, though hardly ever. */
function checkOwner(socket: RouteSocket, name: string, alias: string): void {
  const found = findLink(socket, name);
  if (!found || found.alias === '' || found.alias === alias) return;
  throw new PluginError('NET_LINK', `link ${name} belongs to another endpoint (${found.alias})`, {
    hint: 'start the container again: it then gets another endpoint id',
  });
}
