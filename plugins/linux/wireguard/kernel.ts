/** The kernel's own WireGuard, by generic netlink: <linux/wireguard.h>. */
import { sockaddr } from '../datagram.ts';
import { ipText, parsePrefix } from '../netlink/address-bytes.ts';
import { GenericSocket, genlmsghdrSize } from '../netlink/generic.ts';
import { listAttributes, type MessageWriter, readAttributes } from '../netlink/message.ts';
import type { Request } from '../netlink/socket.ts';
import { AF_INET, AF_INET6 } from '../syscall.ts';
import { keyFromText } from './keys.ts';
import type { DeviceChange, PeerChange, WireguardDevice, WireguardPeer } from './model.ts';

const family = 'wireguard';
const version = 1;
const WG_CMD_GET_DEVICE = 0;
const WG_CMD_SET_DEVICE = 1;
const WGDEVICE_A_IFNAME = 2;
const WGDEVICE_A_PRIVATE_KEY = 3;
const WGDEVICE_A_PUBLIC_KEY = 4;
const WGDEVICE_A_LISTEN_PORT = 6;
const WGDEVICE_A_PEERS = 8;
const WGPEER_A_PUBLIC_KEY = 1;
const WGPEER_A_FLAGS = 3;
const WGPEER_A_ENDPOINT = 4;
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5;
const WGPEER_A_LAST_HANDSHAKE_TIME = 6;
const WGPEER_A_RX_BYTES = 7;
const WGPEER_A_TX_BYTES = 8;
const WGPEER_A_ALLOWEDIPS = 9;
const WGPEER_F_REMOVE_ME = 1;
const WGPEER_F_REPLACE_ALLOWEDIPS = 2;
const WGALLOWEDIP_A_FAMILY = 1;
const WGALLOWEDIP_A_IPADDR = 2;
const WGALLOWEDIP_A_CIDR_MASK = 3;
/** Of a peer with few addresses about 200 bytes; an attribute holds 64 KiB. */
const peersPerMessage = 100;

export function readKernelDevice(name: string): WireguardDevice {
  using socket = new GenericSocket(family);
  const answers = socket.dump(
    socket.request({
      call: 'WG_CMD_GET_DEVICE',
      describe: () => name,
      command: WG_CMD_GET_DEVICE,
      version,
      write: (writer) => writer.attributeText(WGDEVICE_A_IFNAME, name),
    }),
  );
  return readDevice(answers.map(({ body }) => body));
}

export function changeKernelDevice(name: string, change: DeviceChange): void {
  using socket = new GenericSocket(family);
  const { peers = [], ...device } = change;
  const groups = [peers.slice(0, peersPerMessage)];
  for (let at = peersPerMessage; at < peers.length; at += peersPerMessage)
    groups.push(peers.slice(at, at + peersPerMessage));
  socket.apply(
    ...groups.map((group, index) => changeRequest(socket, name, { ...(index === 0 && device), peers: group })),
  );
}

function changeRequest(socket: GenericSocket, name: string, change: DeviceChange): Request {
  return socket.request({
    call: 'WG_CMD_SET_DEVICE',
    describe: () => `${name} ${change.peers?.length ?? 0} peers`,
    command: WG_CMD_SET_DEVICE,
    version,
    write: (writer) => writeChange(writer, name, change),
  });
}

/** Exported for its test: the attributes of WG_CMD_SET_DEVICE. */
export function writeChange(
  writer: MessageWriter,
  name: string,
  { privateKey, listenPort, peers }: DeviceChange,
): void {
  writer.attributeText(WGDEVICE_A_IFNAME, name);
  if (privateKey !== undefined) writer.attribute(WGDEVICE_A_PRIVATE_KEY, keyFromText(privateKey));
  if (listenPort !== undefined) writer.attributeU16(WGDEVICE_A_LISTEN_PORT, listenPort);
  if (!peers || peers.length === 0) return;
  writer.nest(WGDEVICE_A_PEERS, () => {
    for (const peer of peers) writer.nest(0, () => writePeer(writer, peer));
  });
}

function writePeer(writer: MessageWriter, peer: PeerChange): void {
  writer.attribute(WGPEER_A_PUBLIC_KEY, keyFromText(peer.publicKey));
  const { remove, endpoint, allowedIps, keepaliveSeconds } = peer;
  const flags = (remove ? WGPEER_F_REMOVE_ME : 0) | (allowedIps ? WGPEER_F_REPLACE_ALLOWEDIPS : 0);
  if (flags !== 0) writer.attributeU32(WGPEER_A_FLAGS, flags);
  if (remove) return;
  if (endpoint) writer.attribute(WGPEER_A_ENDPOINT, sockaddr(parsePrefix(endpoint.address).bytes, endpoint.port));
  if (keepaliveSeconds !== undefined) writer.attributeU16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepaliveSeconds);
  if (!allowedIps) return;
  writer.nest(WGPEER_A_ALLOWEDIPS, () => {
    for (const cidr of allowedIps) {
      const prefix = parsePrefix(cidr);
      writer.nest(0, () => {
        writer.attributeU16(WGALLOWEDIP_A_FAMILY, prefix.family);
        writer.attribute(WGALLOWEDIP_A_IPADDR, prefix.bytes);
        writer.attributeU8(WGALLOWEDIP_A_CIDR_MASK, prefix.length);
      });
    }
  });
}

/** Exported for its test. A device with many peers comes in several messages, and a peer with many addresses may go over two. */
export function readDevice(bodies: readonly Buffer[]): WireguardDevice {
  let publicKey: string | undefined;
  let listenPort = 0;
  const peers = new Map<string, WireguardPeer>();
  for (const body of bodies) {
    const found = readAttributes(body, genlmsghdrSize);
    publicKey ??= found.get(WGDEVICE_A_PUBLIC_KEY)?.toString('base64');
    listenPort = found.get(WGDEVICE_A_LISTEN_PORT)?.readUInt16LE() ?? listenPort;
    for (const [, bytes] of listAttributes(found.get(WGDEVICE_A_PEERS) ?? Buffer.alloc(0))) {
      const peer = readPeer(bytes);
      const before = peers.get(peer.publicKey);
      const allowedIps = [...(before?.allowedIps ?? []), ...peer.allowedIps];
      peers.set(peer.publicKey, { ...(before ?? peer), allowedIps });
    }
  }
  return { publicKey, listenPort, peers: [...peers.values()] };
}

function readPeer(bytes: Buffer): WireguardPeer {
  const found = readAttributes(bytes);
  // struct __kernel_timespec: seconds, nanoseconds
  const seconds = Number(found.get(WGPEER_A_LAST_HANDSHAKE_TIME)?.readBigInt64LE() ?? 0n);
  const endpoint = found.get(WGPEER_A_ENDPOINT);
  return {
    publicKey: (found.get(WGPEER_A_PUBLIC_KEY) ?? Buffer.alloc(0)).toString('base64'),
    endpoint: endpoint && endpointText(endpoint),
    allowedIps: listAttributes(found.get(WGPEER_A_ALLOWEDIPS) ?? Buffer.alloc(0)).map(([, one]) => {
      const parts = readAttributes(one);
      return `${ipText(parts.get(WGALLOWEDIP_A_IPADDR) ?? Buffer.alloc(4))}/${parts.get(WGALLOWEDIP_A_CIDR_MASK)?.[0] ?? 0}`;
    }),
    handshakeAt: seconds === 0 ? undefined : seconds * 1000,
    receivedBytes: Number(found.get(WGPEER_A_RX_BYTES)?.readBigUInt64LE() ?? 0n),
    sentBytes: Number(found.get(WGPEER_A_TX_BYTES)?.readBigUInt64LE() ?? 0n),
  };
}

/** struct sockaddr_in and sockaddr_in6 */
function endpointText(bytes: Buffer): string | undefined {
  const port = bytes.readUInt16BE(2);
  if (bytes.readUInt16LE() === AF_INET) return `${ipText(bytes.subarray(4, 8))}:${port}`;
  if (bytes.readUInt16LE() === AF_INET6) return `[${ipText(bytes.subarray(8, 24))}]:${port}`;
  return undefined;
}
