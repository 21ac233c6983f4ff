/**
 * Answers everything that the hot path of udp-server.ts has no ready answer for: names asked for the first time, questions that go
 * upstream, odd and broken messages, all of TCP. What it finds out it leaves in the view's table, where the hot path finds it.
 */
import { performance } from 'node:perf_hooks';
import { type Answer, writeEmpty } from './answer.ts';
import { chainAnswer } from './chain.ts';
import { compile } from './compile.ts';
import type { EngineResolver } from './engine-resolver.ts';
import type { ForwardOutcome, ForwardQuestion } from './forwarder.ts';
import { nameToWire, readName, skipName } from './name.ts';
import { keyHash, Query, questionKey, type Verdict } from './query.ts';
import type { QueryLog } from './query-log.ts';
import { type Resolution, resolve, unknownSingleLabel } from './resolver.ts';
import { type Outcome, outcomeIndex } from './stats.ts';
import { isOwnQuery } from './upstream.ts';
import { questionBytes } from './upstream-group.ts';
import type { View } from './view.ts';
import { headerLength, maxMessageLength, rcodeName, rcodes, typeName, types } from './wire.ts';

/** Who asks: made by the server whose socket the query came in on, never from what the query says. */
export interface Asker {
  readonly view: View;
  readonly transport: 'udp' | 'tcp';
  /** Counts what is under way for one client: its socket or its address. */
  readonly client: ClientBudget;
  /** For the log. */
  readonly address: string;
  readonly port: number;
  /** The engine's own resolver in the same sandbox: knows networks that are not ours. */
  readonly engine?: EngineResolver | undefined;
}

export interface ClientBudget {
  pending: number;
}

export interface ResponderLimits {
  /** Questions of one client that may wait for an upstream at a time. */
  readonly pendingPerClient: number;
  readonly pendingInAll: number;
}

export const defaultLimits: ResponderLimits = { pendingPerClient: 200, pendingInAll: 4000 };

/** Takes the first `length` bytes as the reply, before it returns: they are overwritten afterwards. */
export type Send = (reply: Uint8Array, length: number) => void;

/** One question on its way to a reply. */
interface Job {
  /** A copy, the responder's to keep. */
  readonly message: Buffer;
  readonly asker: Asker;
  readonly send: Send;
  readonly startedAt: number;
  /** Lower-case text. */
  readonly name: string;
}

type Answered = Extract<Resolution, { kind: 'answer' }>;
type Forwarded = Extract<Resolution, { kind: 'forward' }>;

export class Responder {
  readonly #log: QueryLog;
  readonly #now: () => number;
  readonly #limits: ResponderLimits;
  readonly #query = new Query();
  #verdict: Verdict = 'ignored';
  readonly #scratch = Buffer.alloc(maxMessageLength);
  readonly #probes = new Map<string, () => void>();
  #pending = 0;

  /** `now` in whole seconds of a clock that only goes forward. */
  constructor(log: QueryLog, now: () => number, limits: ResponderLimits = defaultLimits) {
    this.#log = log;
    this.#now = now;
    this.#limits = limits;
  }

  get pending(): number {
    return this.#pending;
  }

  /** Calls back once when a question for this name comes in from anywhere: an upstream that sends it back to us is a loop. */
  expectProbe(name: string, onSeen: () => void): () => void {
    this.#probes.set(name, onSeen);
    return () => this.#probes.delete(name);
  }

  /** Replies to a message (a copy that is the responder's to keep), at once or later; false when there is no reply to give. */
  respond(message: Buffer, asker: Asker, send: Send): boolean {
    const startedAt = performance.now();
    const query = this.#read(message);
    if (query === undefined) return false;
    if (this.#verdict === 'broken') {
      asker.view.stats.count(0, outcomeIndex.malformed);
      this.#sendEmpty(message, send, rcodes.FORMERR);
      return true;
    }
    if (this.#verdict === 'odd' && this.#answerOdd(query, message, asker, send)) return true;
    const name = readName(message, headerLength)?.name;
    if (name === undefined) {
      this.#sendEmpty(message, send, rcodes.FORMERR);
      return true;
    }
    this.#probes.get(name)?.();
    const job: Job = { message, asker, send, startedAt, name };
    const resolution = resolve(asker.view.zones, { name, type: query.type, class: query.class });
    if (resolution.kind === 'error') {
      const outcome: Outcome = resolution.rcode === rcodes.REFUSED ? 'refused' : 'failed';
      this.#fail(job, resolution.rcode, outcome, resolution.why);
    } else if (resolution.kind === 'answer') {
      this.#reply(job, this.#compiled(query, job, resolution), resolution.why);
    } else {
      this.#forward(query, job, resolution);
    }
    return true;
  }

  #compiled(query: Query, { message, asker }: Job, resolution: Answered): Answer {
    const answer = compile(resolution, questionKey(message, 0, query.questionEnd));
    asker.view.keep(query.hash, answer);
    return answer;
  }

  /** Messages that are no plain question of class IN; false when the question can be answered after all. */
  #answerOdd(query: Query, message: Buffer, asker: Asker, send: Send): boolean {
    const refuse = (rcode: number, outcome: Outcome): boolean => {
      asker.view.stats.count(query.type, outcomeIndex[outcome]);
      this.#sendEmpty(message, send, rcode);
      return true;
    };
    if ((message[2]! & 0x78) !== 0) return refuse(rcodes.NOTIMP, 'refused');
    // RFC 9619: a query has one question. Records in the answer or authority section have no place in one.
    if (query.questionEnd === headerLength) return refuse(rcodes.FORMERR, 'malformed');
    // RFC 6891 §6.1.3: a version that is not ours to understand; the reply says which one is.
    if (query.hasEdns && query.ednsVersion !== 0) return refuse(rcodes.BADVERS, 'refused');
    if (query.hasEdns) return query.class === 1 && refuse(rcodes.FORMERR, 'malformed');
    if (!hasSoundAdditionals(message, query.questionEnd)) return refuse(rcodes.FORMERR, 'malformed');
    // Something behind the question that is no OPT (TSIG, a cookie of old): answered as if it were not there.
    return false;
  }

  #forward(query: Query, job: Job, resolution: Forwarded): void {
    const { message, asker } = job;
    const { view, client } = asker;
    if (isOwnQuery(asker.port, message.readUInt16BE(0))) {
      this.#fail(job, rcodes.REFUSED, 'refused', 'our own question came back: a loop');
      return;
    }
    const clientKey = questionKey(message, 0, query.questionEnd);
    const { hash, dnssecOk, checkingDisabled } = query;
    const asked: ForwardQuestion =
      resolution.via.length === 0
        ? {
            name: resolution.name,
            key: clientKey,
            hash: hash < 0 ? keyHash(clientKey, dnssecOk) : hash,
            question: message.subarray(headerLength, query.questionEnd),
            dnssecOk,
            checkingDisabled,
          }
        : aboutTarget(resolution.name, query);
    const local = resolution.singleLabel && !view.zones.some((zone) => zone.settings.forwardSingleLabels);
    const engineFirst = local || asker.engine?.comesFirst(resolution.name) === true;
    const cached = engineFirst || resolution.via.length > 0 ? undefined : view.forwarder.find(asked);
    if (cached !== undefined) {
      view.forwarder.counts.hits++;
      view.keep(hash, cached);
      this.#reply(job, cached, cached.source);
      return;
    }
    if (local && asker.engine === undefined) {
      const unknown = unknownSingleLabel(view.zones, resolution.via);
      this.#reply(job, this.#compiled(query, job, unknown), 'no such container');
      return;
    }
    if (client.pending >= this.#limits.pendingPerClient || this.#pending >= this.#limits.pendingInAll) {
      this.#fail(job, rcodes.REFUSED, 'limited', 'too many questions of this client are waiting');
      return;
    }
    client.pending++;
    this.#pending++;
    if (engineFirst && asker.engine !== undefined) {
      void this.#askEngine(job, asker.engine, resolution).finally(() => this.#over(client));
      return;
    }
    view.forwarder.ask(asked, (outcome) => {
      this.#over(client);
      this.#replyFromUpstream(job, resolution, clientKey, hash, outcome);
    });
  }

  #over(client: ClientBudget): void {
    client.pending--;
    this.#pending--;
  }

  #replyFromUpstream(
    job: Job,
    resolution: Forwarded,
    clientKey: Uint8Array,
    hash: number,
    outcome: ForwardOutcome,
  ): void {
    const { message, asker } = job;
    const query = this.#read(message);
    if (query === undefined) return;
    if (outcome.kind === 'failed') {
      this.#fail(job, rcodes.SERVFAIL, 'failed', outcome.why);
      return;
    }
    const { answer } = outcome;
    const now = this.#now();
    if (resolution.via.length > 0) {
      const ttl = asker.view.zones[0]?.settings.ttl ?? 0;
      const expiresAt = Math.min(now + ttl, answer.expiresAt);
      const whole = chainAnswer(clientKey, resolution.via, ttl, answer, expiresAt, now);
      this.#reply(job, whole, answer.source, 'forwarded');
      return;
    }
    // What is asked for the first time may be the last; the table is for what comes again.
    if (outcome.cached && !query.checkingDisabled) asker.view.keep(hash, answer);
    this.#reply(job, answer, answer.source, outcome.cached ? undefined : 'forwarded');
  }

  /** The engine's resolver knows the names on its other networks; what it does not know, it asks as it always did. */
  async #askEngine(job: Job, engine: EngineResolver, resolution: Forwarded): Promise<void> {
    const { message, asker, name, send } = job;
    const type = this.#read(message)?.type ?? 0;
    const reply = await engine.ask(message, `${name} ${type}`);
    const query = this.#read(message);
    if (query === undefined) return;
    if (reply !== undefined) {
      asker.view.stats.count(type, outcomeIndex.forwarded);
      this.#write(job, type, reply[3]! & 15, 'forwarded', "the engine's resolver", reply.readUInt16BE(6));
      send(reply, reply.length);
      return;
    }
    if (!resolution.singleLabel) {
      this.#fail(job, rcodes.SERVFAIL, 'failed', "the engine's resolver did not answer");
      return;
    }
    const negative = unknownSingleLabel(asker.view.zones, resolution.via);
    this.#reply(job, compile(negative, questionKey(message, 0, query.questionEnd)), negative.why);
  }

  /** Looks at a message again: the one Query there is has seen others since. undefined when there is no reply to give. */
  #read(message: Buffer): Query | undefined {
    this.#verdict = this.#query.read(message, 0, message.length);
    return this.#verdict === 'ignored' ? undefined : this.#query;
  }

  #reply(job: Job, answer: Answer, why: string, outcome?: Outcome): void {
    const { message, asker, send } = job;
    const query = this.#query;
    const limit = asker.transport === 'tcp' ? maxMessageLength : query.udpLimit;
    const length = answer.write(query, message, 0, this.#scratch, 0, limit, this.#now());
    const index = outcome === undefined ? answer.outcome : outcomeIndex[outcome];
    asker.view.stats.count(query.type, index);
    asker.view.stats.took((performance.now() - job.startedAt) / 1000, 1);
    this.#write(job, query.type, answer.rcode, outcome ?? answer.outcomeName, why, answer.counts[0]);
    send(this.#scratch, length);
  }

  #fail(job: Job, rcode: number, outcome: Outcome, why: string): void {
    const { type } = this.#query;
    job.asker.view.stats.count(type, outcomeIndex[outcome]);
    this.#write(job, type, rcode, outcome, why, 0);
    this.#sendEmpty(job.message, job.send, rcode);
  }

  #write(job: Job, type: number, rcode: number, outcome: Outcome, source: string, answers: number): void {
    if (!this.#log.active) return;
    const { asker, name, startedAt } = job;
    this.#log.write({
      time: new Date().toISOString(),
      network: asker.view.label,
      client: asker.address,
      transport: asker.transport,
      name: `${name}.`,
      type: typeName(type),
      rcode: rcodeName(rcode),
      outcome,
      source,
      answers,
      ms: Math.round((performance.now() - startedAt) * 1000) / 1000,
    });
  }

  /** An error, without records. The Query is the message's. */
  #sendEmpty(message: Buffer, send: Send, rcode: number): void {
    send(this.#scratch, writeEmpty(this.#query, message, 0, this.#scratch, 0, rcode));
  }
}

/** RFC 6891 §6.1.1: at most one OPT record, whose owner is the root. Records that are cut off are not sound either. */
function hasSoundAdditionals(message: Buffer, start: number): boolean {
  let at = start;
  let seen = false;
  for (let left = message.readUInt16BE(10); left > 0; left--) {
    const next = skipName(message, at);
    if (next < 0 || next + 10 > message.length) return false;
    if (message.readUInt16BE(next) === types.OPT) {
      if (seen || message[at] !== 0) return false;
      seen = true;
    }
    at = next + 10 + message.readUInt16BE(next + 8);
    if (at > message.length) return false;
  }
  return true;
}

/** What is asked upstream when a local CNAME leads there. */
function aboutTarget(name: string, { type, dnssecOk, checkingDisabled }: Query): ForwardQuestion {
  const question = questionBytes(nameToWire(name), type);
  const key = question.subarray(0, question.length - 2);
  return { name, key, hash: keyHash(key, dnssecOk), question, dnssecOk, checkingDisabled };
}
