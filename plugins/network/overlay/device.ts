/**
 * The VXLAN of a network: a port of its bridge by which frames leave for other hosts. It learns nothing: whatever it knows was
 * put there (forwarding.ts), so a forged frame changes no table.
 */
import { isIPv6 } from 'node:net';
import { isKernelError } from '../../linux/errors.ts';
import { ensureLinkSetting } from '../../linux/link-setting.ts';
import { changeLink, createLink, deleteLink, findLink, getLink, type Link } from '../../linux/netlink/link.ts';
import type { VxlanOptions } from '../../linux/netlink/link-kinds.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { networkAlias, vxlanName } from '../link/names.ts';

export interface VxlanPlan {
  readonly networkId: string;
  readonly vni: number;
  readonly bridge: string;
  readonly port: number;
  /** Source address of the tunnel; routes decide by which link its packets leave. */
  readonly local: string;
  /** Inside the tunnel, where every packet has a stronger check than UDP's. */
  readonly noChecksum: boolean;
}

/** Creates it, or brings the one that is there to the plan. Throws NET_OVERLAY_VNI and NET_LINK. */
export function ensureVxlan(socket: RouteSocket, plan: VxlanPlan): Link {
  const name = vxlanName(plan.vni);
  const alias = networkAlias(plan.networkId);
  try {
    const found = findLink(socket, name);
    if (found && found.alias !== alias) throw taken(plan.vni, found.alias || 'something else');
    if (found && !isAsPlanned(found, plan)) socket.apply(deleteLink(name));
    const bridge = getLink(socket, plan.bridge);
    const { vni: id, local, port } = plan;
    const checksums = vxlanChecksums(local, plan.noChecksum);
    if (!found || !isAsPlanned(found, plan)) {
      socket.apply(
        createLink({
          kind: 'vxlan',
          name,
          mtu: bridge.mtu,
          options: { id, local, port, learning: false, ...checksums },
        }),
        changeLink(name, { alias, linkLocal: 'none' }),
      );
    }
    socket.apply(
      changeLink(name, { master: bridge.index, mtu: bridge.mtu }),
      changeLink(name, { up: true }, { learning: false, neighbourSuppress: true }),
    );
    return getLink(socket, name);
  } catch (error) {
    if (error instanceof PluginError) throw error;
    if (isKernelError(error, 'EEXIST')) throw taken(plan.vni, 'a VXLAN that is not ours');
    if (isKernelError(error, 'EADDRINUSE')) {
      throw new PluginError('NET_LINK', `UDP port ${plan.port}, of VXLAN ${name}, is in use on this host`, {
        hint: 'see `ss -ulnp`, and end what has it; or choose another -o cleat.port, the same on every host',
        cause: error,
      });
    }
    throw new PluginError('NET_LINK', `VXLAN ${name} could not be set up: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** VXLANs of one port share a socket, and what it accepts, so all of IPv6 take packets with and without (RFC 6935). Pure. */
export function vxlanChecksums(local: string, none: boolean): Partial<VxlanOptions> {
  return isIPv6(local) ? { udpZeroChecksum6Tx: none, udpZeroChecksum6Rx: true } : {};
}

/** Longer than the time between two packets of wireguard-go, also when it had to wait for a processor. */
const gatherNs = 200_000;

/**
 * Segments of a TCP stream that come one by one, as from wireguard-go, wait for those behind them, and pass bridge, firewall
 * and container as one. What ends a message (PSH), acknowledges, or is no TCP does not wait. Throws what ensureLinkSetting does.
 */
export function gatherSegments(link: string): void {
  ensureLinkSetting(link, 'gro_flush_timeout', gatherNs);
}

/** Nothing when it is not there. */
export function removeVxlan(socket: RouteSocket, vni: number): void {
  for (const error of socket.attempt([deleteLink(vxlanName(vni))])) {
    if (error && !isKernelError(error, 'ENODEV')) throw error;
  }
}

/** None of these can be changed while it exists. */
function isAsPlanned({ kind, options }: Link, plan: VxlanPlan): boolean {
  const { id, local, port } = options as { id?: number; local?: string; port?: number };
  return kind === 'vxlan' && id === plan.vni && local === plan.local && port === plan.port;
}

function taken(vni: number, by: string): PluginError {
  return new PluginError('NET_OVERLAY_VNI', `VNI ${vni} belongs to ${by} on this host`, {
    hint: 'choose another -o cleat.vni, the same on every host',
  });
}
