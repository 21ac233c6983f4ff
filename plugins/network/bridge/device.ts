/** The bridge of a network in the kernel: made or found, brought to what the plan says, or left alone when it is not ours. */

import { isKernelError } from '../../linux/errors.ts';
import { addAddress, listAddresses } from '../../linux/netlink/address.ts';
import { changeLink, createLink, findLink, type Link } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { ensureSysctl, findSysctl } from '../../linux/sysctl.ts';
import { PluginError } from '../../sdk/errors.ts';
import { parseInterfaceAddress } from '../address/cidr.ts';
import { formatIp } from '../address/ip.ts';
import { macFromId } from '../link/mac.ts';
import { networkAlias } from '../link/names.ts';
import { underlayMtu } from '../link/underlay.ts';
import type { BridgePlan } from './plan.ts';

/** The bridge that the plan names, if it is there and was not made for this network. Throws NET_BRIDGE_INVALID. */
export function findForeignBridge(socket: RouteSocket, plan: BridgePlan): Link | undefined {
  const link = findLink(socket, plan.bridge);
  if (!link || link.alias === networkAlias(plan.networkId)) return undefined;
  if (link.kind !== 'bridge') {
    throw new PluginError('NET_BRIDGE_INVALID', `${plan.bridge} is a ${link.kind || 'physical'} link and no bridge`, {
      hint: 'choose another com.docker.network.bridge.name',
    });
  }
  return link;
}

/** Creates the bridge, or repairs the one that is there, which must be ours. Same plan, same result. Throws NET_LINK. */
export function ensureBridge(socket: RouteSocket, plan: BridgePlan): void {
  const { bridge } = plan;
  try {
    if (!findLink(socket, bridge)) {
      const mac = plan.macAddress ?? macFromId(plan.networkId);
      // The alias in the same call: whatever interrupts us, a bridge of ours can be told from others.
      socket.apply(
        createLink({ kind: 'bridge', name: bridge, mac }),
        changeLink(bridge, { alias: networkAlias(plan.networkId) }),
      );
    }
    settle(socket, plan);
  } catch (error) {
    if (error instanceof PluginError) throw error;
    throw new PluginError('NET_LINK', `bridge ${bridge} could not be set up: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function settle(socket: RouteSocket, plan: BridgePlan): void {
  const { bridge, pools, options } = plan;
  const hasIpv6 = pools.some(({ family, bridgeAddress }) => family === 6 && bridgeAddress !== undefined);
  setInterface(`net/ipv6/conf/${bridge}/disable_ipv6`, hasIpv6 ? 0 : 1);
  if (hasIpv6) {
    // Containers must not tell the host its routes.
    setInterface(`net/ipv6/conf/${bridge}/accept_ra`, 0);
    // Nobody has the bridge's addresses but the bridge; a search for duplicates would keep the first container waiting 1.5 s.
    setInterface(`net/ipv6/conf/${bridge}/accept_dad`, 0);
  }
  if (options.gatewayMode4 !== 'routed' && !plan.internal) {
    // 127.0.0.1 of the host reaches published ports; the chain `guard` keeps containers from the host's loopback.
    setInterface(`net/ipv4/conf/${bridge}/route_localnet`, 1);
  }
  // Containers that may not talk to each other reach what they are linked to by way of the host.
  if (!options.interContainer) setInterface(`net/ipv4/conf/${bridge}/proxy_arp_pvlan`, 1);
  const link = findLink(socket, bridge);
  if (!link) throw new PluginError('NET_LINK', `bridge ${bridge} is gone while it is being set up`);
  socket.apply(changeLink(link.index, { mtu: plan.mtu ?? underlayMtu(socket), up: true }));
  const present = new Set(
    listAddresses(socket, { link: link.index }).map(({ address, prefixLength }) => `${address}/${prefixLength}`),
  );
  for (const { bridgeAddress, family } of pools) {
    if (bridgeAddress === undefined) continue;
    const { ip, prefix } = parseInterfaceAddress(bridgeAddress);
    const address = `${formatIp(ip)}/${prefix}`;
    if (present.has(address)) continue;
    try {
      // A bridge without ports has no carrier, so a search for duplicates would never end.
      socket.apply(addAddress({ link: link.index, address, noDad: family === 6 }));
    } catch (error) {
      if (!isKernelError(error, 'EEXIST')) throw error;
    }
  }
}

/** Settings of a family that the kernel lacks are not missed. */
function setInterface(name: string, value: 0 | 1): void {
  if (findSysctl(name) !== undefined) ensureSysctl(name, value);
}
