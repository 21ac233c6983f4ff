/** Which ways this daemon has to the other hosts: the exchange among peers, etcd, or both, as the configuration says. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { PluginError } from '../../sdk/errors.ts';
import type { Store } from '../../store/store.ts';
import type { SubnetSharing } from '../ipam/subnet-sharing.ts';
import type { NetworkParts } from '../parts.ts';
import { type OverlayConfig, readOverlayConfig } from './config.ts';
import type { ControlPlane, PeerStatus, StoreStatus } from './control-plane.ts';
import { EtcdPlane } from './etcd/etcd-plane.ts';
import { Exchange } from './exchange/exchange.ts';
import { deriveKey } from './exchange/secure.ts';
import { driverName, type OverlayOptions } from './options.ts';
import { ownShare } from './own-share.ts';

export interface Planes {
  config(): OverlayConfig;
  /** Who the hosts are known by stays until the next start. Throws NET_OVERLAY_CONFIG. */
  reload(section: unknown): void;
  /** The others' part of these networks is different: told to one only. */
  onChange: (networks: readonly string[]) => void;
  /** Throws NET_OVERLAY_CONFIG when the configuration does not have what the network needs. */
  of(options: Pick<OverlayOptions, 'store'>): ControlPlane;
  peers(): PeerStatus[];
  /** Undefined: there is none. */
  store(): StoreStatus | undefined;
  readonly sharing: SubnetSharing;
  close(): Promise<void>;
}

/** Throws NET_OVERLAY_CONFIG. */
export function openPlanes({ store, socket, context }: Pick<NetworkParts, 'store' | 'socket' | 'context'>): Planes {
  let config = readOverlayConfig(context.config['overlay']);
  const log = context.log.child({ driver: driverName });
  const { secret, port, etcd: etcdConfig, shares } = config;
  const leaseMs = () => config.leaseMs;
  const onChange = (networks: readonly string[]) => planes.onChange(networks);
  const run = secret !== undefined || etcdConfig ? nextRun(store) : undefined;
  const common = run && { ...run, hostName: hostname(), leaseMs, onChange, log };
  const exchange =
    common && secret !== undefined ? new Exchange({ ...common, key: deriveKey(secret), port }) : undefined;
  const etcd =
    common && etcdConfig
      ? new EtcdPlane({ ...common, config: etcdConfig, store, shares: shares > 1 ? shares : undefined })
      : undefined;
  const all = [exchange, etcd].filter((plane) => plane !== undefined);
  const planes: Planes = {
    config: () => config,
    reload: (section) => {
      config = {
        ...readOverlayConfig(section),
        ...(secret !== undefined && { secret }),
        ...(etcdConfig !== undefined && { etcd: etcdConfig }),
      };
    },
    onChange: () => {},
    of: ({ store: byStore }) => {
      const plane = byStore ? etcd : exchange;
      if (plane) return plane;
      throw new PluginError('NET_OVERLAY_CONFIG', 'this daemon has no secret to know the other hosts by', {
        hint: 'put "overlay": {"secretFile": "/etc/cleat/overlay.secret"} into the configuration of cleat-networkd on every host',
      });
    },
    peers: () => all.flatMap((plane) => plane.peers()),
    store: () => etcd?.status(),
    sharing: {
      part: (pool) => (etcd ? undefined : ownShare(socket, config, pool)),
      held: (network, pool) => etcd?.held(network, pool) ?? [],
      check: () => etcd?.blocks.check(),
      claim: async (network, pool) => await etcd?.claim(network, pool),
      release: (network, pool) => etcd?.blocks.release(network, pool),
    },
    close: async () => {
      await Promise.all(all.map((plane) => plane.close()));
    },
  };
  return planes;
}

/** Who this host is among the others, and which run of its daemon speaks. */
function nextRun(store: Store): { readonly node: string; readonly epoch: number } {
  const table = store.table<{ readonly node: string; readonly epoch: number }>('overlay.node', { version: 1 });
  const before = table.get('self');
  const run = { node: before?.node ?? randomUUID(), epoch: (before?.epoch ?? 0) + 1 };
  table.put('self', run);
  return run;
}
