/**
 * Several upstreams as one: the quickest that answers is asked first, the next joins in when it takes long, and one that is
 * silent goes to the end of the line, so that a dead upstream costs one short wait and then nothing.
 *
 *     0 ms        best upstream
 *     30–150 ms   and the next (three times what the first usually takes) …
 *     1 s, 2 s    everybody again (the datagram was lost)
 *     4 s         SERVFAIL
 */
import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { readResponse } from './response.ts';
import type { ServerAddress } from './server-address.ts';
import { exchangeTcp } from './tcp-frame.ts';
import { isPathError, Upstream, type UpstreamReply } from './upstream.ts';
import { ednsUdpSize, flagCd, flagRd, headerLength, maxNameLength, rcodes, types } from './wire.ts';

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
/** One clock for all questions of a group, which stands still while there are none: a timer for each would cost more than the rest. */
const tickMs = 10;

export type GroupDone = (reply: GroupReply | undefined) => void;

export class UpstreamGroup {
  readonly upstreams: readonly Upstream[];
  readonly #racing = new Set<Race>();
  #clock: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(servers: readonly ServerAddress[]) {
    this.upstreams = servers.map((server) => new Upstream(server));
  }

  /** Calls back once, with the best reply there is, or with undefined when nobody answered. */
  ask(asked: UpstreamQuestion, done: GroupDone): void {
    const order = this.upstreams.filter((upstream) => !upstream.loops).sort((a, b) => a.score - b.score);
    if (order.length === 0) {
      done(undefined);
      return;
    }
    const race = new Race(order, asked, (reply) => {
      this.#racing.delete(race);
      done(reply);
    });
    this.#racing.add(race);
    this.#clock ??= setInterval(() => this.#tick(), tickMs);
    race.start();
  }

  /** Its sockets close as soon as the last question under way has its answer or its deadline. */
  close(): void {
    this.#closing = true;
    if (this.#racing.size === 0) this.#closeSockets();
  }

  #closeSockets(): void {
    for (const upstream of this.upstreams) upstream.close();
  }

  #tick(): void {
    if (this.#racing.size === 0) {
      clearInterval(this.#clock);
      this.#clock = undefined;
      if (this.#closing) this.#closeSockets();
      return;
    }
    const now = performance.now();
    for (const race of this.#racing) race.tick(now);
  }
}

/**
 * Header with RD, the question, and OPT where the server takes one; returns the length. The id is filled in by who sends it. `out` has
 * room for any question and 23 bytes.
 */
export function writeQuery(out: Uint8Array, asked: UpstreamQuestion, edns: boolean): number {
  const { question } = asked;
  out.fill(0, 0, headerLength);
  out[2] = flagRd;
  out[3] = asked.checkingDisabled ? flagCd : 0;
  out[5] = 1;
  for (let i = 0; i < question.length; i++) out[headerLength + i] = question[i]!;
  const at = headerLength + question.length;
  if (!edns) return at;
  out[11] = 1;
  out.fill(0, at, at + 11);
  out[at + 2] = types.OPT;
  out[at + 3] = ednsUdpSize >> 8;
  out[at + 4] = ednsUdpSize & 0xff;
  if (asked.dnssecOk) out[at + 7] = 0x80;
  return at + 11;
}

const scratch = new Uint8Array(headerLength + maxNameLength + 4 + 11);

class Race {
  readonly #order: readonly Upstream[];
  readonly #asked: UpstreamQuestion;
  readonly #done: GroupDone;
  readonly #cancels: (() => void)[] = [];
  readonly #startedAt = performance.now();
  /** When each of `#order` was asked last. */
  readonly #sentAt: number[] = [];
  #refused: Set<Upstream> | undefined;
  /** When it is somebody else's turn, or everybody's again. */
  #turnAt = Number.POSITIVE_INFINITY;
  /** Whose turn ends then; undefined when all have been asked. */
  #current: Upstream | undefined;
  #next = 0;
  #fallback: GroupReply | undefined;
  #finished = false;

  constructor(order: readonly Upstream[], asked: UpstreamQuestion, done: GroupDone) {
    this.#order = order;
    this.#asked = asked;
    this.#done = done;
  }

  start(): void {
    this.#askNext();
    this.#probeOneThatIsDown();
  }

  tick(now: number): void {
    if (now - this.#startedAt >= deadlineMs) this.#finish(this.#fallback);
    else if (now >= this.#turnAt) this.#turnOver();
  }

  #turnOver(): void {
    const upstream = this.#current;
    if (upstream === undefined) {
      for (const one of this.#order) if (!this.#hasRefused(one)) this.#send(one);
    } else if ((this.#next < this.#order.length || this.#order.length === 1) && !this.#hasRefused(upstream)) {
      upstream.wasSilent();
    }
    this.#askNext();
  }

  #askNext(): void {
    if (this.#finished) return;
    const upstream = this.#order[this.#next++];
    this.#current = upstream;
    if (upstream === undefined) {
      // Everybody has been asked: again after a while, for a datagram that was lost.
      this.#turnAt = performance.now() + repeatMs;
      return;
    }
    this.#send(upstream);
    const wait = Math.min(longestWaitMs, Math.max(shortestWaitMs, upstream.srttMs * 3));
    this.#turnAt = performance.now() + (upstream.isDown ? shortestWaitMs : wait);
  }

  #hasRefused(upstream: Upstream): boolean {
    return this.#refused?.has(upstream) === true;
  }

  #send(upstream: Upstream): void {
    this.#sentAt[this.#order.indexOf(upstream)] = performance.now();
    if (upstream.address.tcp) {
      this.#askOverTcp(upstream);
      return;
    }
    const length = writeQuery(scratch, this.#asked, !upstream.plain);
    try {
      this.#cancels.push(upstream.send(scratch, length, (reply) => this.#take(upstream, reply)));
    } catch (error) {
      if (!isPathError(error)) throw error;
      upstream.wasSilent();
    }
  }

  #askOverTcp(upstream: Upstream): void {
    const length = writeQuery(scratch, this.#asked, !upstream.plain);
    const message = Buffer.from(scratch.subarray(0, length));
    const id = randomInt(0x1_0000);
    message.writeUInt16BE(id, 0);
    exchangeTcp(upstream.address, message, deadlineMs).then(
      (answer) => {
        const response = readResponse(answer);
        if (response !== undefined && response.id === id) this.#take(upstream, { message: answer, response });
      },
      () => this.#refuse(upstream),
    );
  }

  #take(upstream: Upstream, reply: UpstreamReply): void {
    if (this.#finished) return;
    const { message, response } = reply;
    if (!this.#isForUs(message, response.questionEnd)) return;
    upstream.answeredAfter(performance.now() - (this.#sentAt[this.#order.indexOf(upstream)] ?? this.#startedAt));
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
    const named = { message, response, upstream: upstream.address.text };
    if (response.rcode === rcodes.NOERROR || response.rcode === rcodes.NXDOMAIN) {
      this.#finish(named);
      return;
    }
    this.#fallback = named;
    this.#refuse(upstream);
  }

  /** The upstream will not help with this question: the next one at once, and the end when there is none. */
  #refuse(upstream: Upstream): void {
    if (this.#finished || this.#hasRefused(upstream)) return;
    this.#refused ??= new Set();
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
