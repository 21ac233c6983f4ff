/**
 * Several upstreams as one: the quickest that answers is asked first, the next joins in when it takes long, and one that is
 * silent goes to the end of the line, so that a dead upstream costs one short wait and then nothing.
 *
 *     0 ms        best upstream
 *     30–150 ms   and the next (three times what the first usually takes) …
 *     1 s, 2 s    everybody again (the datagram was lost)
 *     4 s         SERVFAIL
 */

import { readResponse } from './response.ts';
import type { ServerAddress } from './server-address.ts';
import { exchangeTcp } from './tcp-frame.ts';
import { isPathError, Upstream, type UpstreamReply } from './upstream.ts';
import { ednsUdpSize, flagCd, flagRd, headerLength, rcodes, types } from './wire.ts';

export interface UpstreamQuestion {
  /** Name in wire form, type, class: as they stand in a message. */
  readonly question: Uint8Array;
  readonly dnssecOk: boolean;
  readonly checkingDisabled: boolean;
}

export interface GroupReply extends UpstreamReply {
  readonly upstream: string;
}

const shortestWaitMs = 30;
const longestWaitMs = 150;
const deadlineMs = 4000;
const repeatMs = 1000;
const probeEveryMs = 2000;

export class UpstreamGroup {
  readonly upstreams: readonly Upstream[];

  constructor(servers: readonly ServerAddress[]) {
    this.upstreams = servers.map((server) => new Upstream(server));
  }

  /** The best reply there is; undefined when nobody answered. Never rejects. */
  ask(asked: UpstreamQuestion): Promise<GroupReply | undefined> {
    return new Promise((resolve) => new Race(this.upstreams, asked, resolve));
  }

  close(): void {
    for (const upstream of this.upstreams) upstream.close();
  }
}

/** Header with RD, the question, and OPT where the server takes one. The id is filled in by who sends it. */
export function buildQuery(asked: UpstreamQuestion, edns: boolean): Buffer {
  const message = Buffer.alloc(headerLength + asked.question.length + (edns ? 11 : 0));
  message[2] = flagRd;
  message[3] = asked.checkingDisabled ? flagCd : 0;
  message[5] = 1;
  message.set(asked.question, headerLength);
  if (!edns) return message;
  message[11] = 1;
  const at = headerLength + asked.question.length;
  message.writeUInt16BE(types.OPT, at + 1);
  message.writeUInt16BE(ednsUdpSize, at + 3);
  if (asked.dnssecOk) message[at + 7] = 0x80;
  return message;
}

class Race {
  readonly #order: Upstream[];
  readonly #asked: UpstreamQuestion;
  readonly #done: (reply: GroupReply | undefined) => void;
  readonly #cancels: (() => void)[] = [];
  readonly #startedAt = performance.now();
  readonly #sentAt = new Map<Upstream, number>();
  readonly #refused = new Set<Upstream>();
  readonly #timers: NodeJS.Timeout[] = [];
  #next = 0;
  #fallback: GroupReply | undefined;
  #finished = false;

  constructor(upstreams: readonly Upstream[], asked: UpstreamQuestion, done: (reply: GroupReply | undefined) => void) {
    this.#asked = asked;
    this.#done = done;
    this.#order = upstreams.filter((upstream) => !upstream.loops).sort((a, b) => a.score - b.score);
    if (this.#order.length === 0) {
      done(undefined);
      this.#finished = true;
      return;
    }
    this.#timers.push(setTimeout(() => this.#finish(this.#fallback), deadlineMs));
    this.#askNext();
    this.#probeOneThatIsDown();
  }

  #askNext(): void {
    if (this.#finished) return;
    const upstream = this.#order[this.#next++];
    if (upstream === undefined) {
      // Everybody has been asked: again after a while, for a datagram that was lost.
      this.#timers.push(
        setTimeout(() => {
          for (const one of this.#order) if (!this.#refused.has(one)) this.#send(one);
          this.#askNext();
        }, repeatMs),
      );
      return;
    }
    this.#send(upstream);
    const wait = Math.min(longestWaitMs, Math.max(shortestWaitMs, upstream.srttMs * 3));
    this.#timers.push(
      setTimeout(
        () => {
          if (this.#next < this.#order.length || this.#order.length === 1) this.#noteSilence(upstream);
          this.#askNext();
        },
        upstream.isDown ? shortestWaitMs : wait,
      ),
    );
  }

  #noteSilence(upstream: Upstream): void {
    if (!this.#refused.has(upstream) && !this.#finished) upstream.wasSilent();
  }

  #send(upstream: Upstream): void {
    this.#sentAt.set(upstream, performance.now());
    if (upstream.address.tcp) {
      this.#askOverTcp(upstream);
      return;
    }
    const message = buildQuery(this.#asked, !upstream.plain);
    try {
      this.#cancels.push(upstream.send(message, (reply) => this.#take(upstream, reply)));
    } catch (error) {
      if (!isPathError(error)) throw error;
      upstream.wasSilent();
    }
  }

  #askOverTcp(upstream: Upstream): void {
    const message = buildQuery(this.#asked, !upstream.plain);
    message.writeUInt16BE(Math.floor(Math.random() * 65536), 0);
    exchangeTcp(upstream.address, message, deadlineMs).then(
      (answer) => {
        const response = readResponse(answer);
        if (response !== undefined && response.id === message.readUInt16BE(0))
          this.#take(upstream, { message: answer, response });
      },
      () => this.#refuse(upstream),
    );
  }

  #take(upstream: Upstream, reply: UpstreamReply): void {
    if (this.#finished) return;
    const { message, response } = reply;
    if (!this.#isForUs(message, response.questionEnd)) return;
    upstream.answeredAfter(performance.now() - (this.#sentAt.get(upstream) ?? this.#startedAt));
    if (response.truncated && !upstream.address.tcp) {
      this.#askOverTcp(upstream);
      this.#fallback ??= { ...reply, upstream: upstream.address.text };
      return;
    }
    if (response.rcode === rcodes.FORMERR && !upstream.plain && response.opt === undefined) {
      upstream.plain = true;
      this.#send(upstream);
      return;
    }
    const named = { ...reply, upstream: upstream.address.text };
    if (response.rcode === rcodes.NOERROR || response.rcode === rcodes.NXDOMAIN) {
      this.#finish(named);
      return;
    }
    this.#fallback = named;
    this.#refuse(upstream);
  }

  /** The upstream will not help with this question: the next one at once, and the end when there is none. */
  #refuse(upstream: Upstream): void {
    if (this.#finished || this.#refused.has(upstream)) return;
    this.#refused.add(upstream);
    if (this.#refused.size === this.#order.length) this.#finish(this.#fallback);
    else if (this.#next < this.#order.length) this.#askNext();
  }

  /** The same question, letter for letter but for their case (RFC 5452 §4.2). */
  #isForUs(message: Uint8Array, questionEnd: number): boolean {
    const { question } = this.#asked;
    if (questionEnd - headerLength !== question.length) return false;
    for (let i = 0; i < question.length; i++) {
      const one = message[headerLength + i]!;
      const other = question[i]!;
      if (one !== other && ((one | 0x20) !== (other | 0x20) || (one | 0x20) < 0x61 || (one | 0x20) > 0x7a))
        return false;
    }
    return true;
  }

  /** Now and then a query goes to a silent upstream as well, to see whether it is back. */
  #probeOneThatIsDown(): void {
    const now = performance.now();
    const down = this.#order.find((upstream) => upstream.isDown && now - upstream.lastProbe > probeEveryMs);
    if (down === undefined || down === this.#order[0] || down.address.tcp) return;
    down.lastProbe = now;
    this.#send(down);
  }

  #finish(reply: GroupReply | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const cancel of this.#cancels) cancel();
    if (reply === undefined) for (const upstream of this.#order) upstream.wasSilent();
    this.#done(reply);
  }
}

/** `name type class` of a question in wire form, for asking about another name. */
export function questionBytes(name: Uint8Array, type: number): Buffer {
  const bytes = Buffer.alloc(name.length + 4);
  bytes.set(name, 0);
  bytes.writeUInt16BE(type, name.length);
  bytes.writeUInt16BE(1, name.length + 2);
  return bytes;
}
