/** This host's part of a subnet, for an IPAM driver that gives addresses before any network is made. */
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { type Cidr, formatCidr } from '../address/cidr.ts';
import type { OverlayConfig } from './config.ts';
import { shareOf } from './share.ts';
import { findUnderlay } from './underlay.ts';

/** By the hosts that the configuration names. Throws NET_OVERLAY_CONFIG, NET_OVERLAY_PEERS and NET_OVERLAY_SHARE. */
export function ownShare(socket: RouteSocket, config: OverlayConfig, pool: Cidr): Cidr {
  const { peers, shares } = config;
  if (peers.length === 0) {
    throw new PluginError('NET_OVERLAY_CONFIG', `nobody is named to share ${formatCidr(pool)} with`, {
      hint: 'put "peers" into the part "overlay" of the configuration, or give --ip-range and no --ipam-opt cleat.network',
    });
  }
  const { position } = findUnderlay(socket, peers, config);
  return shareOf(formatCidr(pool), position, Math.max(shares, peers.length));
}
