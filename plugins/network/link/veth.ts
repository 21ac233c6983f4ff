/**
 * The wire between a container and a bridge: a veth whose host end is a port of the bridge and whose container end waits in
 * the engine's namespace, under our name, until the engine moves and renames it. For every driver that bridges.
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeBridgePort, changeLink, createVeth, findLink, getLink } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { findSysctl, writeSysctl } from '../../linux/sysctl.ts';
import { PluginError } from '../../sdk/errors.ts';
import { containerEndName, endpointAlias, hostEndName } from './names.ts';

export interface VethPlan {
  readonly endpointId: string;
  /** Its MTU is that of both ends. */
  readonly bridge: string;
  /** Of the container end. */
  readonly macAddress: string;
  /** Cut off from other isolated ports of the bridge. */
  readonly isolated: boolean;
}

/** Creates it, or finds the one that an earlier, interrupted call left. Throws NET_LINK. */
export function createEndpointVeth(socket: RouteSocket, plan: VethPlan): void {
  const name = hostEndName(plan.endpointId);
  const alias = endpointAlias(plan.endpointId);
  try {
    const { index: bridge, mtu } = getLink(socket, plan.bridge);
    const peer = { name: containerEndName(plan.endpointId), mac: plan.macAddress, mtu };
    const outcomes = socket.attempt([
      createVeth({ name, mtu, master: bridge, up: true, peer }),
      // Not taken at creation by the kernel, and in the same call so that no crash comes between.
      changeLink(name, { alias }),
      changeBridgePort(name, { isolated: plan.isolated }),
    ]);
    if (outcomes[0] && isKernelError(outcomes[0], 'EEXIST')) {
      adopt(socket, name, alias, bridge, mtu, plan.isolated);
    } else {
      const failure = outcomes.find((outcome) => outcome !== undefined);
      if (failure) throw failure;
    }
    keepWithoutAddresses(name);
  } catch (error) {
    if (error instanceof PluginError) throw error;
    throw new PluginError(
      'NET_LINK',
      `the veth ${name} on ${plan.bridge} could not be made: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** Makes an existing host end a port of the bridge again, after the bridge was built anew. */
export function reattachVeth(socket: RouteSocket, endpointId: string, bridge: string, isolated: boolean): void {
  const name = hostEndName(endpointId);
  socket.apply(
    changeLink(name, { master: getLink(socket, bridge).index, up: true }),
    changeBridgePort(name, { isolated }),
  );
}

function adopt(socket: RouteSocket, name: string, alias: string, bridge: number, mtu: number, isolated: boolean): void {
  const found = findLink(socket, name);
  // The name holds 40 bits of the id: two endpoints may share it, though hardly ever.
  if (found && found.alias !== '' && found.alias !== alias) {
    throw new PluginError('NET_LINK', `link ${name} belongs to another endpoint (${found.alias})`, {
      hint: 'start the container again: it then gets another endpoint id',
    });
  }
  socket.apply(changeLink(name, { alias, master: bridge, mtu, up: true }), changeBridgePort(name, { isolated }));
}

/** A port of a bridge needs no address of its own, and every link-local one costs groups and announcements. */
function keepWithoutAddresses(name: string): void {
  const setting = `net/ipv6/conf/${name}/disable_ipv6`;
  if (findSysctl(setting) === '0') writeSysctl(setting, 1);
}
