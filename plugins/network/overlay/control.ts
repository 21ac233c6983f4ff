/** JSON routes for `cleat overlay`, and rows for `cleat status`. */
import type { FastifyInstance } from 'fastify';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { formatCidr } from '../address/cidr.ts';
import { vxlanName } from '../link/names.ts';
import type { StoreStatus } from './control-plane.ts';
import type { OverlayDriver } from './driver.ts';
import type { Planes } from './planes.ts';
import type { Prober } from './probe/prober.ts';
import { trace } from './trace.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

export interface OverlayNetworkRow {
  readonly overlay: string;
  readonly vni: number;
  readonly interface: string;
  readonly underlay: string;
  readonly mtu: number | undefined;
  /** `none`, `kernel` or `wireguard-go`, or `down`. */
  readonly encryption: string;
  /** Who fills them in for packets inside the VXLAN: the network card as usual, or this host, since they were damaged. */
  readonly checksums: 'card' | 'mended';
  /** Of the key in use; null where there is none. */
  readonly keyAgeSeconds: number | null;
  readonly share: readonly string[];
  readonly hosts: number;
  readonly remoteEndpoints: number;
  readonly entries: number;
  readonly networkId: string;
}

export interface OverlayPeerRow {
  readonly overlay: string;
  readonly peer: string;
  readonly hostName: string;
  readonly state: string;
  /** Milliseconds; null: not known. */
  readonly rttMs: number | null;
  readonly heardMs: number | null;
  /** By which the network's packets go there. */
  readonly way: 'vxlan' | 'direct' | 'tunnel';
  /** Of test packets by the way that the network's frames take; null: not tested (encrypted networks are not). */
  readonly latencyMs: number | null;
  /** 0 to 1. */
  readonly loss: number | null;
  /** The largest packet that passes. */
  readonly pathMtu: number | null;
  /** `good`, `mended` on this host's VXLANs, `damaged`, or `unknown`. */
  readonly checksums: string;
  /** Since the session's keys were made with it; null: not encrypted, or never. */
  readonly handshakeSeconds: number | null;
  readonly endpoints: number;
  /** What keeps the host's part from being used. */
  readonly problem: string;
}

export interface OverlayViews {
  readonly socket: RouteSocket;
  readonly driver: OverlayDriver;
  readonly planes: Planes;
  readonly tunnel: Tunnel;
  readonly prober: Prober;
}

export function overlayRoutes(app: FastifyInstance, views: OverlayViews): void {
  const { driver, tunnel } = views;
  app.get('/overlay/networks', () => networkRows(views));
  app.get('/overlay/peers', () => peerRows(views));
  app.get<{ Querystring: { from?: string; to?: string; network?: string } }>('/overlay/trace', ({ query }) => {
    const { from = '', to = '', network } = query;
    const members = driver.members.values();
    return trace({ ...views, members }, { from, to, ...(network !== undefined && { network }) });
  });
  app.get('/overlay/store', () => storeRows(views.planes));
  app.post('/overlay/rotate', () => {
    tunnel.rotate();
    return {};
  });
}

export function networkRows({
  driver,
  tunnel,
  prober,
}: Pick<OverlayViews, 'driver' | 'tunnel' | 'prober'>): OverlayNetworkRow[] {
  return [...driver.members.values()].map((member) => {
    const { networkId, options, plan, underlay, remotes, entryCount } = member;
    return {
      overlay: options.name,
      vni: options.vni,
      interface: vxlanName(options.vni),
      underlay: underlay?.address ?? '',
      mtu: plan.mtu,
      encryption: options.encrypted ? tunnel.kind : 'none',
      checksums: prober.mended && !options.encrypted ? 'mended' : 'card',
      keyAgeSeconds: options.encrypted ? seconds(tunnel.keyAgeMs) : null,
      share: member.ranges().map(formatCidr),
      hosts: remotes.filter(({ problem }) => problem === undefined).length + 1,
      remoteEndpoints: remotes.reduce((sum, { endpoints }) => sum + endpoints.length, 0),
      entries: entryCount,
      networkId: networkId.slice(0, 12),
    };
  });
}

function storeRows(planes: Planes): StoreStatus[] {
  return [planes.store() ?? []].flat();
}

function peerRows({ driver, planes, tunnel, prober }: OverlayViews): OverlayPeerRow[] {
  const status = new Map(planes.peers().map((one) => [one.peer, one]));
  return [...driver.members.values()].flatMap((member) => {
    const { options, underlay, remotes } = member;
    return (options.store ? remotes.map(({ host }) => host) : options.peers)
      .filter((peer) => peer !== underlay?.address)
      .map((peer) => {
        const one = status.get(peer);
        const remote = remotes.find(({ host }) => host === peer);
        const refused = remote && remote.refused > 0 ? `${remote.refused} addresses are not its to give` : '';
        const absent = remote === undefined && one?.state === 'connected' ? `it has no network ${options.name}` : '';
        const path = options.encrypted ? undefined : prober.status(peer);
        return {
          overlay: options.name,
          peer,
          hostName: remote?.hostName ?? one?.hostName ?? '',
          state: one?.state ?? 'unknown',
          rttMs: one?.rttMs === undefined ? null : Math.round(one.rttMs * 1000) / 1000,
          heardMs: one?.heardMs ?? null,
          way: options.encrypted
            ? ('tunnel' as const)
            : member.isDirect(peer)
              ? ('direct' as const)
              : ('vxlan' as const),
          latencyMs: path?.latencyMs === undefined ? null : Math.round(path.latencyMs * 1000) / 1000,
          loss: path?.loss === undefined ? null : Math.round(path.loss * 1000) / 1000,
          pathMtu: path?.mtu ?? null,
          checksums: path?.checksums === 'good' && prober.mended ? 'mended' : (path?.checksums ?? 'unknown'),
          handshakeSeconds: options.encrypted ? seconds(tunnel.status(peer)?.handshakeMs) : null,
          endpoints: remote?.endpoints.length ?? 0,
          problem: remote?.problem ?? (refused || absent || (path ? prober.problem(peer, member.plan.mtu) : '')),
        };
      });
  });
}

function seconds(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms / 1000);
}
