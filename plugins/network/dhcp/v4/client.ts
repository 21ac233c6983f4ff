/**
 * DHCPv4 by broadcast on a link of the host, for a client that is not there yet: the container's MAC and identifier are in the
 * message, not in the frame (RFC 2131 allows both; relays depend on it).
 */
import { randomInt } from 'node:crypto';
import { udpFilter } from '../../../linux/packet-filter.ts';
import { ETH_P_IP, PacketSocket } from '../../../linux/packet-socket.ts';
import { PluginError } from '../../../sdk/errors.ts';
import { cidrAround, formatCidr } from '../../address/cidr.ts';
import { parseIp } from '../../address/ip.ts';
import { exchange, shortWaitsMs } from '../exchange.ts';
import type { DhcpAsker, DhcpGrant, DhcpProtocol } from '../protocol.ts';
import { decodeDatagram, encodeDatagram } from './datagram.ts';
import { type DhcpReply, type DhcpRequest, decodeDhcp, encodeDhcp } from './message.ts';

const serverPort = 67;
const clientPort = 68;
const everybody = 'ff:ff:ff:ff:ff:ff';
const forever = 0xffffffff;

export const dhcp4: DhcpProtocol = {
  look: async (asker, signal) => grantOf(await discover(asker, undefined, signal)),

  obtain: async (asker, wanted, signal) => {
    const offer = await discover(asker, wanted, signal);
    if (wanted !== undefined && offer.address !== wanted) {
      throw new PluginError('DHCP_REFUSED', `the DHCP server offers ${offer.address} and not ${wanted}`, {
        hint: `reserve ${wanted} at the server for this container, or leave --ip away`,
      });
    }
    return request(asker, offer.address, offer.serverId, signal);
  },

  // An ordinary renewal would be answered to the container, which knows nothing of it; INIT-REBOOT (RFC 2131 §4.3.2) asks by
  // broadcast for the address that one has, in both phases.
  extend: (asker, { address }, _plan, signal) => request(asker, address, undefined, signal),

  // Sent once; nobody answers a release.
  release: async (asker, { address, serverId }) => {
    const payload = encode(asker, { type: 'release', ciaddr: address, serverId });
    send(asker, { source: address, destination: serverId, payload });
  },

  decline: (asker, { address, serverId }) => {
    const payload = encode(asker, { type: 'decline', requestedIp: address, serverId });
    send(asker, { source: '0.0.0.0', destination: '255.255.255.255', payload });
  },
};

/** DISCOVER and the first offer. */
function discover(asker: DhcpAsker, wanted: string | undefined, signal: AbortSignal): Promise<DhcpReply> {
  const fields = { type: 'discover' as const, ...(wanted !== undefined && { requestedIp: wanted }) };
  return ask(asker, fields, (reply) => reply.type === 'offer', signal);
}

/** REQUEST of an offer, or without `serverId` of an address that we have. */
async function request(
  asker: DhcpAsker,
  address: string,
  serverId: string | undefined,
  signal: AbortSignal,
): Promise<DhcpGrant> {
  const fields = { type: 'request' as const, requestedIp: address, ...(serverId !== undefined && { serverId }) };
  const reply = await ask(asker, fields, ({ type }) => type === 'ack' || type === 'nak', signal);
  if (reply.type === 'ack') return grantOf(reply);
  throw new PluginError(
    'DHCP_REFUSED',
    `the DHCP server refuses ${address}${reply.message ? `: ${reply.message}` : ''}`,
    { hint: 'start the container again' },
  );
}

function ask(
  asker: DhcpAsker,
  fields: Omit<DhcpRequest, 'transaction' | 'mac' | 'clientId' | 'hostName'>,
  isAnswer: (reply: DhcpReply) => boolean,
  signal: AbortSignal,
): Promise<DhcpReply> {
  const transaction = randomInt(2 ** 32);
  const payload = encode(asker, { ...fields, transaction });
  const packet = wrap({ source: '0.0.0.0', destination: '255.255.255.255', payload });
  return exchange(
    {
      link: asker.link,
      linkName: asker.linkName,
      name: 'DHCP',
      protocol: ETH_P_IP,
      filter: udpFilter(clientPort),
      to: everybody,
      packet: () => packet,
      read: (bytes) => {
        const datagram = decodeDatagram(bytes);
        const reply = datagram?.destinationPort === clientPort ? decodeDhcp(datagram.payload) : undefined;
        return reply?.transaction === transaction && reply.mac === asker.mac && isAnswer(reply) ? reply : undefined;
      },
      waitsMs: shortWaitsMs,
    },
    signal,
  );
}

function encode(
  { mac, clientId, hostName }: DhcpAsker,
  fields: Omit<DhcpRequest, 'transaction' | 'mac' | 'clientId' | 'hostName'> & { readonly transaction?: number },
): Buffer {
  return encodeDhcp({
    transaction: randomInt(2 ** 32),
    ...fields,
    mac,
    clientId,
    ...(hostName !== undefined && { hostName }),
  });
}

interface Message {
  readonly source: string;
  readonly destination: string;
  readonly payload: Buffer;
}

function wrap(message: Message): Buffer {
  return encodeDatagram({ ...message, sourcePort: clientPort, destinationPort: serverPort });
}

function send({ link }: DhcpAsker, message: Message): void {
  using socket = new PacketSocket({ link, protocol: ETH_P_IP, filter: udpFilter(clientPort), onPacket: () => {} });
  socket.send(everybody, wrap(message));
}

export function grantOf(reply: DhcpReply): DhcpGrant {
  const { address, serverId, leaseSeconds, renewalSeconds, rebindingSeconds, mtu, subnetMask } = reply;
  const limited = leaseSeconds !== undefined && leaseSeconds !== forever;
  return {
    address,
    serverId: serverId ?? '255.255.255.255',
    // RFC 2131 §4.4.5: T1 is half of the lease and T2 seven eighths, unless the server says otherwise.
    ...(limited && {
      leaseSeconds,
      renewSeconds: renewalSeconds ?? Math.floor(leaseSeconds / 2),
      rebindSeconds: rebindingSeconds ?? Math.floor((leaseSeconds * 7) / 8),
    }),
    nameServers: reply.dns,
    ...(mtu !== undefined && mtu >= 68 && { mtu }),
    routers: reply.routers,
    ...(subnetMask !== undefined && { subnet: formatCidr(cidrAround(parseIp(address), ones(subnetMask))) }),
  };
}

function ones(mask: string): number {
  return mask
    .split('.')
    .map((byte) => Number(byte).toString(2).replaceAll('0', '').length)
    .reduce((sum, bits) => sum + bits, 0);
}
