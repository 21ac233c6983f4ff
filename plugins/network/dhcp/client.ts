/**
 * One exchange with the DHCP servers of a LAN, by broadcast on a link of the host, for a client that is not there yet: the
 * container's MAC and identifier are in the message, not in the frame (RFC 2131 allows both; relays depend on it).
 */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ETH_P_IP, PacketSocket } from '../../linux/packet-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { decodeDatagram, encodeDatagram } from './datagram.ts';
import { type DhcpReply, type DhcpRequest, decodeDhcp, encodeDhcp } from './message.ts';

const serverPort = 67;
const clientPort = 68;
const everybody = 'ff:ff:ff:ff:ff:ff';
/** Milliseconds between repetitions; their sum stays below what an engine's call may take. RFC 2131 §4.1 would take minutes. */
const patienceMs = [300, 600, 1200, 1200];

export interface DhcpClient {
  /** Index of the link to ask on. */
  readonly link: number;
  /** For messages. */
  readonly linkName: string;
  readonly mac: string;
  readonly clientId: Uint8Array;
  readonly hostName?: string;
}

/** DISCOVER and the first offer. Throws DHCP_NO_SERVER. */
export async function discover(
  client: DhcpClient,
  requestedIp: string | undefined,
  signal: AbortSignal,
): Promise<DhcpReply> {
  const request = { type: 'discover' as const, ...(requestedIp !== undefined && { requestedIp }) };
  return exchange(client, request, (reply) => reply.type === 'offer', signal);
}

/** REQUEST of an offer, or without `serverId` of an address that we had (INIT-REBOOT, RFC 2131 §4.3.2). ACK or NAK. */
export async function request(
  client: DhcpClient,
  requestedIp: string,
  serverId: string | undefined,
  signal: AbortSignal,
): Promise<DhcpReply> {
  const message = { type: 'request' as const, requestedIp, ...(serverId !== undefined && { serverId }) };
  return exchange(client, message, (reply) => reply.type === 'ack' || reply.type === 'nak', signal);
}

/** Sent once; nobody answers a release. */
export function release(client: DhcpClient, address: string, serverId: string): void {
  using socket = new PacketSocket({ link: client.link, protocol: ETH_P_IP, onPacket: () => {} });
  const message = encodeDhcp({
    type: 'release',
    transaction: randomInt(2 ** 32),
    mac: client.mac,
    clientId: client.clientId,
    ciaddr: address,
    serverId,
  });
  socket.send(
    everybody,
    encodeDatagram({
      source: address,
      sourcePort: clientPort,
      destination: serverId,
      destinationPort: serverPort,
      payload: message,
    }),
  );
}

async function exchange(
  client: DhcpClient,
  fields: Pick<DhcpRequest, 'type' | 'requestedIp' | 'serverId'>,
  isAnswer: (reply: DhcpReply) => boolean,
  signal: AbortSignal,
): Promise<DhcpReply> {
  const transaction = randomInt(2 ** 32);
  const message = encodeDhcp({
    ...fields,
    transaction,
    mac: client.mac,
    clientId: client.clientId,
    ...(client.hostName !== undefined && { hostName: client.hostName }),
  });
  const packet = encodeDatagram({
    source: '0.0.0.0',
    sourcePort: clientPort,
    destination: '255.255.255.255',
    destinationPort: serverPort,
    payload: message,
  });
  const answered = Promise.withResolvers<DhcpReply>();
  using socket = new PacketSocket({
    link: client.link,
    protocol: ETH_P_IP,
    onPacket: (bytes) => {
      const datagram = decodeDatagram(bytes);
      if (datagram?.destinationPort !== clientPort) return;
      const reply = decodeDhcp(datagram.payload);
      if (reply?.transaction === transaction && reply.mac === client.mac && isAnswer(reply)) answered.resolve(reply);
    },
  });
  for (const waitMs of patienceMs) {
    try {
      socket.send(everybody, packet);
    } catch (error) {
      throw new PluginError(
        'DHCP_NO_SERVER',
        `DHCP cannot be asked on ${client.linkName}: ${(error as Error).message}`,
        { hint: 'is the interface up?', cause: error },
      );
    }
    const reply = await Promise.race([answered.promise, delay(waitMs, undefined, { signal })]);
    if (reply !== undefined) return reply;
  }
  throw new PluginError('DHCP_NO_SERVER', `no DHCP server answers on ${client.linkName}`, {
    hint: 'check the parent interface and the server, then start the container again',
  });
}
