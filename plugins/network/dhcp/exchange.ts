/** One question to the servers of a LAN, repeated until somebody answers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PacketFilter } from '../../linux/packet-filter.ts';
import { PacketSocket } from '../../linux/packet-socket.ts';
import { PluginError } from '../../sdk/errors.ts';

/** Between repetitions while an engine waits; their sum stays below what its call may take. The RFCs' times would take minutes. */
export const shortWaitsMs = [300, 600, 1200, 1200];

export interface Exchange<R> {
  readonly link: number;
  readonly linkName: string;
  /** `DHCP`, `DHCPv6`: for messages. */
  readonly name: string;
  /** ETH_P_ */
  readonly protocol: number;
  readonly filter: PacketFilter;
  /** Ethernet address to send to. */
  readonly to: string;
  /** The packet from the IP header on; `elapsedMs` since the first. */
  readonly packet: (elapsedMs: number) => Buffer;
  /** The answer that was waited for, or undefined. */
  readonly read: (packet: Buffer) => R | undefined;
  /** After each sending, in milliseconds. */
  readonly waitsMs: Iterable<number>;
}

/** Throws DHCP_NO_SERVER; ends with the signal's reason when aborted. */
export async function exchange<R>(question: Exchange<R>, signal: AbortSignal): Promise<R> {
  const { link, linkName, name, protocol, filter, to, packet, read, waitsMs } = question;
  const answered = Promise.withResolvers<R>();
  const begin = performance.now();
  try {
    using socket = new PacketSocket({
      link,
      protocol,
      filter,
      onPacket: (bytes) => {
        const answer = read(bytes);
        if (answer !== undefined) answered.resolve(answer);
      },
    });
    for (const waitMs of waitsMs) {
      socket.send(to, packet(performance.now() - begin));
      const pause = new AbortController();
      const both = AbortSignal.any([signal, pause.signal]);
      try {
        const answer = await Promise.race([
          answered.promise,
          delay(waitMs, undefined, { signal: both, ref: false }).catch(() => undefined),
        ]);
        signal.throwIfAborted();
        if (answer !== undefined) return answer;
      } finally {
        pause.abort();
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof PluginError) throw error;
    throw new PluginError('DHCP_NO_SERVER', `${name} cannot be asked on ${linkName}: ${(error as Error).message}`, {
      hint: 'is the interface up?',
      cause: error,
    });
  }
  throw new PluginError('DHCP_NO_SERVER', `no ${name} server answers on ${linkName}`, {
    hint: 'check the parent interface and the server, then start the container again',
  });
}

export interface Retransmission {
  readonly initialMs: number;
  /** The longest wait. */
  readonly maxMs: number;
  /** How long to go on; absent: for ever. */
  readonly durationMs?: number;
  /** How often to send; absent: any number of times. */
  readonly count?: number;
}

/** RFC 8415 §15: doubled each time, a tenth more or less by chance, the last cut where the duration ends. */
export function* retransmissions(plan: Retransmission, random: () => number = Math.random): Generator<number> {
  const { initialMs, maxMs, durationMs = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = plan;
  const chance = () => (random() * 2 - 1) * 0.1;
  let wait = initialMs * (1 + chance());
  let left = durationMs;
  for (let sent = 0; sent < count && left > 0; sent += 1) {
    yield Math.min(wait, left);
    left -= wait;
    wait = wait * (2 + chance());
    if (wait > maxMs) wait = maxMs * (1 + chance());
  }
}
