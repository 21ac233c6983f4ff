/** JSON routes for `cleat overlay`, and rows for `cleat status`. */
import type { FastifyInstance } from 'fastify';
import { formatCidr } from '../address/cidr.ts';
import { vxlanName } from '../link/names.ts';
import type { StoreStatus } from './control-plane.ts';
import type { OverlayDriver } from './driver.ts';
import type { Planes } from './planes.ts';

export interface OverlayNetworkRow {
  readonly overlay: string;
  readonly vni: number;
  readonly interface: string;
  readonly underlay: string;
  readonly mtu: number | undefined;
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
  readonly endpoints: number;
  /** What keeps the host's part from being used. */
  readonly problem: string;
}

export function overlayRoutes(app: FastifyInstance, driver: OverlayDriver, planes: Planes): void {
  app.get('/overlay/networks', () => networkRows(driver));
  app.get('/overlay/peers', () => peerRows(driver, planes));
  app.get('/overlay/store', () => storeRows(planes));
}

export function networkRows(driver: OverlayDriver): OverlayNetworkRow[] {
  return [...driver.members.values()].map((member) => {
    const { networkId, options, plan, underlay, remotes, entryCount } = member;
    return {
      overlay: options.name,
      vni: options.vni,
      interface: vxlanName(options.vni),
      underlay: underlay?.address ?? '',
      mtu: plan.mtu,
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

function peerRows(driver: OverlayDriver, planes: Planes): OverlayPeerRow[] {
  const status = new Map(planes.peers().map((one) => [one.peer, one]));
  return [...driver.members.values()].flatMap(({ options, underlay, remotes }) =>
    (options.store ? remotes.map(({ host }) => host) : options.peers)
      .filter((peer) => peer !== underlay?.address)
      .map((peer) => {
        const one = status.get(peer);
        const remote = remotes.find(({ host }) => host === peer);
        const refused = remote && remote.refused > 0 ? `${remote.refused} addresses are not its to give` : '';
        return {
          overlay: options.name,
          peer,
          hostName: remote?.hostName ?? one?.hostName ?? '',
          state: one?.state ?? 'unknown',
          rttMs: one?.rttMs === undefined ? null : Math.round(one.rttMs * 1000) / 1000,
          heardMs: one?.heardMs ?? null,
          endpoints: remote?.endpoints.length ?? 0,
          problem: remote?.problem ?? refused,
        };
      }),
  );
}
