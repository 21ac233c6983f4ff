/** One WireGuard device of the tunnel as the kernel has it: link, address, peers. Everything may be repeated. */
import { replaceAddress } from '../../../linux/netlink/address.ts';
import { changeLink, findLink, getLink } from '../../../linux/netlink/link.ts';
import type { RouteSocket } from '../../../linux/netlink/route-socket.ts';
import { ensureSysctl } from '../../../linux/sysctl.ts';
import { changeWireguard, ensureWireguard, readWireguard } from '../../../linux/wireguard/device.ts';
import type { PeerChange, WireguardDevice, WireguardKind } from '../../../linux/wireguard/model.ts';
import { tunnelName } from '../../link/names.ts';
import type { TunnelKey } from './records.ts';

export interface TunnelDevicePlan {
  readonly key: TunnelKey;
  readonly port: number;
  readonly mtu: number;
  /** Of this host, inside the tunnel. */
  readonly addresses: readonly string[];
  readonly peers: readonly TunnelPeer[];
  /** Peers that are not named stay: who they are may not have been said yet. */
  readonly keepPeers: boolean;
}

export interface TunnelPeer {
  readonly publicKey: string;
  readonly endpoint: { readonly address: string; readonly port: number };
  /** Inside the tunnel. */
  readonly addresses: readonly string[];
}

export interface TunnelDevice {
  readonly kind: WireguardKind;
  readonly link: number;
  readonly seen: WireguardDevice;
}

/** Keeps the way through a NAT open: routers forget UDP flows after 30 s at the earliest (RFC 4787 §4.3 wants two minutes). */
const keepaliveSeconds = 25;

/** Endpoints that were given, by public key. A peer that is heard from elsewhere stays there (roaming). */
export type GivenEndpoints = Map<string, string>;

export async function ensureTunnelDevice(
  socket: RouteSocket,
  { key, port, mtu, addresses, peers, keepPeers }: TunnelDevicePlan,
  given: GivenEndpoints,
): Promise<TunnelDevice> {
  const name = tunnelName(key.slot);
  const kind = await ensureWireguard(socket, name);
  const link = getLink(socket, name);
  if (!link.up) {
    // Of an earlier device of this name.
    given.clear();
    await changeWireguard(kind, name, { privateKey: key.privateKey });
    socket.apply(changeLink(name, { linkLocal: 'none', alias: 'cleat tunnel' }));
    ensureSysctl(`net/ipv6/conf/${name}/disable_ipv6`, 0);
  }
  if (!link.up || link.mtu !== mtu) socket.apply(changeLink(name, { mtu, up: true }));
  for (const address of addresses)
    socket.apply(replaceAddress({ link: link.index, address: `${address}/128`, noDad: true, noPrefixRoute: true }));
  const before = await readWireguard(kind, name);
  const changes = peerChanges(before, peers, keepPeers, given);
  const newPort = before.listenPort === port ? {} : { listenPort: port };
  if (changes.length === 0 && !('listenPort' in newPort)) return { kind, link: link.index, seen: before };
  await changeWireguard(kind, name, { ...newPort, peers: changes });
  for (const { publicKey, endpoint } of changes)
    if (endpoint) given.set(publicKey, `${endpoint.address} ${endpoint.port}`);
  return { kind, link: link.index, seen: await readWireguard(kind, name) };
}

/** Whether the link is there as it was left. */
export function isTunnelUp(socket: RouteSocket, key: TunnelKey): boolean {
  return findLink(socket, tunnelName(key.slot))?.up === true;
}

function peerChanges(
  { peers: there }: WireguardDevice,
  wanted: readonly TunnelPeer[],
  keepPeers: boolean,
  given: GivenEndpoints,
): PeerChange[] {
  const known = new Map(there.map((peer) => [peer.publicKey, peer]));
  const names = new Set(wanted.map(({ publicKey }) => publicKey));
  const gone = keepPeers ? [] : there.filter(({ publicKey }) => !names.has(publicKey));
  const changes: PeerChange[] = gone.map(({ publicKey }) => ({ publicKey, remove: true }));
  for (const { publicKey, endpoint, addresses } of wanted) {
    const before = known.get(publicKey);
    const allowedIps = addresses.map((address) => `${address}/128`);
    const same = before?.allowedIps.toSorted().join() === allowedIps.toSorted().join();
    const text = `${endpoint.address} ${endpoint.port}`;
    const moved = before === undefined || (given.get(publicKey) ?? text) !== text;
    if (same && !moved) continue;
    changes.push({
      publicKey,
      ...(!same && { allowedIps }),
      ...(moved && { endpoint }),
      ...(!before && { keepaliveSeconds }),
    });
  }
  return changes;
}
