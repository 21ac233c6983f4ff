/**
 * DHCPv6 (RFC 8415) for a container that is not there yet: this host asks on the parent interface, from the link-local address
 * that it has there, with the container's own DUID and IAID. Answers come back to the host, which has nothing of its own on them:
 * they are read below the IP layer, so a client of the host on the same port is not disturbed.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isKernelError } from '../../../linux/errors.ts';
import { type Address, listAddresses } from '../../../linux/netlink/address.ts';
import type { RouteSocket } from '../../../linux/netlink/route-socket.ts';
import { udp6Filter } from '../../../linux/packet-filter.ts';
import { ETH_P_IPV6, PacketSocket } from '../../../linux/packet-socket.ts';
import { PluginError } from '../../../sdk/errors.ts';
import { multicastMac } from '../../neighbour/ip6.ts';
import { exchange, type Retransmission, retransmissions, shortWaitsMs } from '../exchange.ts';
import type { DhcpAsker, DhcpGrant, DhcpProtocol, Extension } from '../protocol.ts';
import { decodeDatagram6, encodeDatagram6 } from './datagram.ts';
import { type Dhcp6Reply, type Dhcp6Request, decodeDhcp6, encodeDhcp6, status } from './message.ts';

const clientPort = 546;
const serverPort = 547;
/** All_DHCP_Relay_Agents_and_Servers, RFC 8415 §7.1. */
const servers = 'ff02::1:2';

/** RFC 8415 §7.6: REN_ and REB_TIMEOUT and MAX_RT; REL_TIMEOUT and MAX_RC. */
const extendTimes = { initialMs: 10_000, maxMs: 600_000 };
const releaseTimes: Retransmission = { initialMs: 1000, maxMs: 8000, count: 4 };

/** RFC 4862 §5.4.2, §5.1: up to a second until the question, and a second for answers. */
const tentativeMs = 2500;
const lookEveryMs = 50;

type Question = Pick<Dhcp6Request, 'type' | 'serverId' | 'address' | 'rapidCommit'>;

export class Dhcp6 implements DhcpProtocol {
  readonly #socket: RouteSocket;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  async look(asker: DhcpAsker, signal: AbortSignal): Promise<DhcpGrant> {
    return grantOf(await this.#solicit(asker, undefined, false, signal), asker, undefined);
  }

  async obtain(asker: DhcpAsker, wanted: string | undefined, signal: AbortSignal): Promise<DhcpGrant> {
    const answer = await this.#solicit(asker, wanted, true, signal);
    const offer = grantOf(answer, asker, undefined);
    if (wanted !== undefined && offer.address !== wanted) {
      if (answer.type === 'reply') await this.release(asker, offer, signal);
      throw new PluginError('DHCP_REFUSED', `the DHCPv6 server offers ${offer.address} and not ${wanted}`, {
        hint: `reserve ${wanted} at the server for this container, or leave --ip6 away`,
      });
    }
    // RFC 8415 §18.2.1: a server that allows it has committed at once.
    if (answer.type === 'reply') return offer;
    return this.#request(asker, offer, signal);
  }

  async extend(
    asker: DhcpAsker,
    grant: DhcpGrant,
    { phase, untilMs, onSilence }: Extension,
    signal: AbortSignal,
  ): Promise<DhcpGrant> {
    const serverId = phase === 'renew' ? { serverId: Buffer.from(grant.serverId, 'hex') } : {};
    const durationMs = Math.max(untilMs - Date.now(), 1);
    const waitsMs = noticing(retransmissions({ ...extendTimes, durationMs }), onSilence);
    const reply = await this.#ask(
      asker,
      { type: phase, address: grant.address, ...serverId },
      isReply,
      waitsMs,
      signal,
    );
    // RFC 8415 §18.2.10.1: a server that has forgotten the binding is asked for it again.
    if (reply.associations.get(asker.iaid)?.status === status.noBinding && reply.serverId !== undefined)
      return this.#request(asker, { ...grant, serverId: reply.serverId }, signal);
    return grantOf(reply, asker, grant.address);
  }

  /** A server that does not answer learns it from the end of the lease. */
  async release(asker: DhcpAsker, { address, serverId }: DhcpGrant, signal: AbortSignal): Promise<void> {
    const question: Question = { type: 'release', address, serverId: Buffer.from(serverId, 'hex') };
    await this.#ask(asker, question, isReply, retransmissions(releaseTimes), signal);
  }

  /** Sent once: the server's answer would change nothing. */
  decline(asker: DhcpAsker, { address, serverId }: DhcpGrant): void {
    const question: Question = { type: 'decline', address, serverId: Buffer.from(serverId, 'hex') };
    const packet = this.#packet(asker, question, randomInt(2 ** 24), this.#linkLocal(asker), 0);
    const filter = udp6Filter(clientPort);
    using socket = new PacketSocket({ link: asker.link, protocol: ETH_P_IPV6, filter, onPacket: () => {} });
    socket.send(multicastMac(servers), packet);
  }

  /** The first server that has an address for us; with rapid commit it may have given it already. */
  async #solicit(
    asker: DhcpAsker,
    wanted: string | undefined,
    rapidCommit: boolean,
    signal: AbortSignal,
  ): Promise<Dhcp6Reply> {
    let refusal: Dhcp6Reply | undefined;
    const question: Question = { type: 'solicit', rapidCommit, ...(wanted !== undefined && { address: wanted }) };
    const usable = (reply: Dhcp6Reply) => {
      const fits = reply.type === 'advertise' || (rapidCommit && reply.rapidCommit);
      if (fits && hasAddress(reply, asker)) return true;
      if (fits) refusal = reply;
      return false;
    };
    try {
      return await this.#ask(asker, question, usable, shortWaitsMs, signal);
    } catch (error) {
      if (refusal === undefined || signal.aborted) throw error;
      throw refused(refusal, asker);
    }
  }

  async #request(asker: DhcpAsker, offer: DhcpGrant, signal: AbortSignal): Promise<DhcpGrant> {
    const serverId = Buffer.from(offer.serverId, 'hex');
    const question: Question = { type: 'request', address: offer.address, serverId };
    const reply = await this.#ask(asker, question, isReply, shortWaitsMs, signal);
    return grantOf(reply, asker, undefined);
  }

  async #ask(
    asker: DhcpAsker,
    question: Question,
    isAnswer: (reply: Dhcp6Reply) => boolean,
    waitsMs: Iterable<number>,
    signal: AbortSignal,
  ): Promise<Dhcp6Reply> {
    const transaction = randomInt(2 ** 24);
    const source = await this.#source(asker, signal);
    const clientId = Buffer.from(asker.clientId).toString('hex');
    return exchange(
      {
        link: asker.link,
        linkName: asker.linkName,
        name: 'DHCPv6',
        protocol: ETH_P_IPV6,
        filter: udp6Filter(clientPort),
        to: multicastMac(servers),
        packet: (elapsedMs) => this.#packet(asker, question, transaction, source, elapsedMs),
        read: (bytes) => {
          const datagram = decodeDatagram6(bytes);
          const reply = datagram?.destinationPort === clientPort ? decodeDhcp6(datagram.payload) : undefined;
          // RFC 8415 §16.3, §16.10: our transaction, our identifier, and the server's own.
          const ours = reply?.transaction === transaction && reply.clientId === clientId;
          return ours && reply.serverId !== undefined && isAnswer(reply) ? reply : undefined;
        },
        waitsMs,
      },
      signal,
    );
  }

  #packet(
    { clientId, iaid, hostName }: DhcpAsker,
    question: Question,
    transaction: number,
    source: string,
    elapsedMs: number,
  ): Buffer {
    const payload = encodeDhcp6({
      ...question,
      transaction,
      clientId,
      iaid,
      elapsedMs,
      ...(hostName !== undefined && { hostName }),
    });
    return encodeDatagram6({
      source,
      sourcePort: clientPort,
      destination: servers,
      destinationPort: serverPort,
      payload,
    });
  }

  /** A link that has just come up is still asking whether its address is its alone: that is waited for. */
  async #source(asker: DhcpAsker, signal: AbortSignal): Promise<string> {
    const until = performance.now() + tentativeMs;
    while (performance.now() < until && !signal.aborted) {
      const addresses = this.#linkLocals(asker);
      if (addresses.length === 0 || addresses.some(({ tentative }) => !tentative)) break;
      await delay(lookEveryMs, undefined, { signal }).catch(() => {});
    }
    return this.#linkLocal(asker);
  }

  /** RFC 8415 §7.2: clients send from a link-local address. */
  #linkLocal(asker: DhcpAsker): string {
    const { linkName } = asker;
    const found = this.#linkLocals(asker).find(({ tentative }) => !tentative);
    if (found !== undefined) return found.address;
    throw new PluginError('DHCP_NO_SERVER', `DHCPv6 cannot be asked on ${linkName}: it has no link-local address`, {
      hint: `is it up, and IPv6 not switched off on it (net.ipv6.conf.${linkName}.disable_ipv6)?`,
    });
  }

  #linkLocals({ link }: DhcpAsker): Address[] {
    try {
      const addresses = listAddresses(this.#socket, { link, family: 6 });
      return addresses.filter(({ scope, dadFailed }) => scope === 'link' && !dadFailed);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return [];
    }
  }
}

function* noticing(waitsMs: Iterable<number>, onSilence: () => void): Generator<number> {
  let sent = 0;
  for (const waitMs of waitsMs) {
    if (sent === 1) onSilence();
    sent += 1;
    yield waitMs;
  }
}

function isReply(reply: Dhcp6Reply): boolean {
  return reply.type === 'reply';
}

function hasAddress(reply: Dhcp6Reply, { iaid }: DhcpAsker): boolean {
  return (reply.associations.get(iaid)?.addresses.length ?? 0) > 0;
}

/** `held`: the answer must have this one. Throws DHCP_REFUSED. */
function grantOf(reply: Dhcp6Reply, asker: DhcpAsker, held: string | undefined): DhcpGrant {
  const association = reply.associations.get(asker.iaid);
  const given = association?.addresses.find(({ address }) => held === undefined || address === held);
  if (association === undefined || given === undefined || reply.serverId === undefined) throw refused(reply, asker);
  const { validSeconds, preferredSeconds } = given;
  // RFC 8415 §14.2, §21.4: where the server leaves it open, half and four fifths of the preferred lifetime.
  const base = preferredSeconds ?? validSeconds;
  const times = base !== undefined && {
    renewSeconds: association.renewSeconds || Math.floor(base / 2),
    rebindSeconds: association.rebindSeconds || Math.floor(base * 0.8),
  };
  return {
    address: given.address,
    serverId: reply.serverId,
    ...(validSeconds !== undefined && { leaseSeconds: validSeconds }),
    ...times,
    nameServers: reply.nameServers,
    routers: [],
  };
}

function refused(reply: Dhcp6Reply, asker: DhcpAsker): PluginError {
  const association = reply.associations.get(asker.iaid);
  const words = association?.message ?? reply.message;
  const number = association !== undefined && association.status !== 0 ? association.status : reply.status;
  const why = words ?? (number === 0 ? 'no address in its answer' : `status ${number}`);
  return new PluginError('DHCP_REFUSED', `the DHCPv6 server gives no address: ${why}`, {
    hint: 'check the range of the server for this subnet',
  });
}
