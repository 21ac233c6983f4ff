/**
 * Answers everything that the hot path of udp-server.ts has no ready answer for: names asked for the first time, questions that go
 * upstream, odd and broken messages, all of TCP. What it finds out it leaves in the view's table, where the hot path finds it.
 */
import { type Answer, writeBadVersion, writeEmpty } from './answer.ts';
import { chainAnswer } from './chain.ts';
import { compile } from './compile.ts';
import type { EngineResolver } from './engine-resolver.ts';
import type { ForwardQuestion } from './forwarder.ts';
import { nameToWire, readName } from './name.ts';
import { Query, questionKey } from './query.ts';
import type { QueryLog } from './query-log.ts';
import { type Resolution, resolve, unknownSingleLabel } from './resolver.ts';
import { type Outcome, outcomeIndex } from './stats.ts';
import { isOwnQuery } from './upstream.ts';
import { questionBytes } from './upstream-group.ts';
import type { View } from './view.ts';
import { headerLength, maxMessageLength, rcodeName, rcodes, typeName } from './wire.ts';

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
  readonly engine?: EngineResolver;
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

type Reply = Buffer | undefined;

export class Responder {
  readonly #log: QueryLog;
  readonly #now: () => number;
  readonly #limits: ResponderLimits;
  readonly #query = new Query();
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

  /** The reply to a message (a copy that is the responder's to keep), now or later; undefined when there is none to give. */
  respond(message: Buffer, asker: Asker): Reply | Promise<Reply> {
    const startedAt = performance.now();
    const query = this.#query;
    const verdict = query.read(message, 0, message.length);
    if (verdict === 'ignored') return undefined;
    const { stats } = asker.view;
    if (verdict === 'broken') {
      stats.count(0, outcomeIndex.malformed);
      return this.#empty(query, message, rcodes.FORMERR);
    }
    const plain = verdict === 'plain' ? undefined : this.#answerOdd(query, message, asker);
    if (plain !== undefined) return plain;
    const name = readName(message, headerLength)?.name;
    if (name === undefined) return this.#empty(query, message, rcodes.FORMERR);
    this.#probes.get(name)?.();
    const question = { name, type: query.type, class: query.class };
    const resolution = resolve(asker.view.zones, question);
    if (resolution.kind === 'error') {
      const outcome: Outcome = resolution.rcode === rcodes.REFUSED ? 'refused' : 'failed';
      return this.#fail(query, message, asker, name, resolution.rcode, outcome, resolution.why, startedAt);
    }
    if (resolution.kind === 'answer') {
      return this.#reply(
        query,
        message,
        asker,
        name,
        this.#compiled(query, message, resolution, asker),
        resolution.why,
        startedAt,
      );
    }
    return this.#forward(query, message, asker, name, resolution, startedAt);
  }

  #compiled(query: Query, message: Buffer, resolution: Extract<Resolution, { kind: 'answer' }>, asker: Asker): Answer {
    const answer = compile(resolution, questionKey(message, 0, query.questionEnd));
    asker.view.keep(query.hash, answer);
    return answer;
  }

  /** Messages that are no plain question of class IN; undefined when the question can be answered after all. */
  #answerOdd(query: Query, message: Buffer, asker: Asker): Reply {
    const { stats } = asker.view;
    const refuse = (rcode: number, outcome: Outcome): Buffer => {
      stats.count(query.type, outcomeIndex[outcome]);
      return this.#empty(query, message, rcode);
    };
    if ((message[2]! & 0x78) !== 0) return refuse(rcodes.NOTIMP, 'refused');
    // RFC 9619: a query has one question. Records in the answer or authority section have no place in one.
    if (query.questionEnd === headerLength) return refuse(rcodes.FORMERR, 'malformed');
    if (query.hasEdns && query.ednsVersion !== 0) {
      stats.count(query.type, outcomeIndex.refused);
      return this.#copy(writeBadVersion(query, message, 0, this.#scratch, 0));
    }
    if (query.hasEdns) return query.class === 1 ? refuse(rcodes.FORMERR, 'malformed') : undefined;
    // Something behind the question that is no OPT (TSIG, a cookie of old): answered as if it were not there.
    return undefined;
  }

  #forward(
    query: Query,
    message: Buffer,
    asker: Asker,
    name: string,
    resolution: Extract<Resolution, { kind: 'forward' }>,
    startedAt: number,
  ): Reply | Promise<Reply> {
    const { view, client } = asker;
    if (isOwnQuery(asker.port, message.readUInt16BE(0))) {
      return this.#fail(
        query,
        message,
        asker,
        name,
        rcodes.REFUSED,
        'refused',
        'our own question came back: a loop',
        startedAt,
      );
    }
    const clientKey = questionKey(message, 0, query.questionEnd);
    const { hash, dnssecOk, checkingDisabled, type } = query;
    const wire = resolution.via.length === 0 ? undefined : nameToWire(resolution.name);
    const bytes = wire === undefined ? message.subarray(headerLength, query.questionEnd) : questionBytes(wire, type);
    const key = wire === undefined ? clientKey : bytes.subarray(0, bytes.length - 2);
    const asked: ForwardQuestion = { name: resolution.name, key, question: bytes, dnssecOk, checkingDisabled };
    const local = resolution.singleLabel && !view.zones.some((zone) => zone.settings.forwardSingleLabels);

    const engineFirst = local || asker.engine?.comesFirst(resolution.name) === true;
    const cached = engineFirst ? undefined : view.forwarder.find(asked);
    if (cached !== undefined && wire === undefined) {
      view.forwarder.counts.hits++;
      view.keep(hash, cached);
      return this.#reply(query, message, asker, name, cached, cached.source, startedAt);
    }
    if (local && asker.engine === undefined) {
      const answer = this.#compiled(
        query,
        message,
        unknownSingleLabel(view.zones, resolution.via) as Extract<Resolution, { kind: 'answer' }>,
        asker,
      );
      return this.#reply(query, message, asker, name, answer, 'no such container', startedAt);
    }
    if (client.pending >= this.#limits.pendingPerClient || this.#pending >= this.#limits.pendingInAll) {
      return this.#fail(
        query,
        message,
        asker,
        name,
        rcodes.REFUSED,
        'limited',
        'too many questions of this client are waiting',
        startedAt,
      );
    }
    client.pending++;
    this.#pending++;
    const later = engineFirst ? this.#askEngine(message, asker, name, resolution, startedAt) : undefined;
    const reply = later ?? this.#askUpstream(message, asker, name, resolution, asked, clientKey, hash, startedAt);
    return reply.finally(() => {
      client.pending--;
      this.#pending--;
    });
  }

  async #askUpstream(
    message: Buffer,
    asker: Asker,
    name: string,
    resolution: Extract<Resolution, { kind: 'forward' }>,
    asked: ForwardQuestion,
    clientKey: Uint8Array,
    hash: number,
    startedAt: number,
  ): Promise<Reply> {
    const { view } = asker;
    const result = await view.forwarder.ask(asked);
    const query = new Query();
    query.read(message, 0, message.length);
    if (result.kind === 'failed') {
      return this.#fail(query, message, asker, name, rcodes.SERVFAIL, 'failed', result.why, startedAt);
    }
    const ttl = view.zones[0]?.settings.ttl ?? 0;
    const now = this.#now();
    if (resolution.via.length > 0) {
      const expiresAt = Math.min(now + ttl, result.answer.expiresAt);
      const whole = chainAnswer(clientKey, resolution.via, ttl, result.answer, expiresAt, now);
      return this.#reply(query, message, asker, name, whole, result.answer.source, startedAt, 'forwarded');
    }
    if (result.answer.expiresAt > now && !query.checkingDisabled) view.keep(hash, result.answer);
    return this.#reply(
      query,
      message,
      asker,
      name,
      result.answer,
      result.answer.source,
      startedAt,
      result.cached ? undefined : 'forwarded',
    );
  }

  /** The engine's resolver knows the names on its other networks; what it does not know, it asks as it always did. */
  async #askEngine(
    message: Buffer,
    asker: Asker,
    name: string,
    resolution: Extract<Resolution, { kind: 'forward' }>,
    startedAt: number,
  ): Promise<Reply> {
    const query = new Query();
    query.read(message, 0, message.length);
    const reply = await asker.engine?.ask(message, `${name} ${query.type}`);
    if (reply !== undefined) {
      asker.view.stats.count(query.type, outcomeIndex.forwarded);
      this.#write(
        asker,
        name,
        query.type,
        reply[3]! & 15,
        'forwarded',
        "the engine's resolver",
        reply.readUInt16BE(6),
        startedAt,
      );
      return reply;
    }
    if (!resolution.singleLabel) {
      return this.#fail(
        query,
        message,
        asker,
        name,
        rcodes.SERVFAIL,
        'failed',
        "the engine's resolver did not answer",
        startedAt,
      );
    }
    const negative = unknownSingleLabel(asker.view.zones, resolution.via) as Extract<Resolution, { kind: 'answer' }>;
    return this.#reply(
      query,
      message,
      asker,
      name,
      compile(negative, questionKey(message, 0, query.questionEnd)),
      negative.why,
      startedAt,
    );
  }

  #reply(
    query: Query,
    message: Buffer,
    asker: Asker,
    name: string,
    answer: Answer,
    why: string,
    startedAt: number,
    outcome?: Outcome,
  ): Buffer {
    const limit = asker.transport === 'tcp' ? maxMessageLength : query.udpLimit;
    const length = answer.write(query, message, 0, this.#scratch, 0, limit, this.#now());
    const index = outcome === undefined ? answer.outcome : outcomeIndex[outcome];
    asker.view.stats.count(query.type, index);
    asker.view.stats.took((performance.now() - startedAt) / 1000, 1);
    this.#write(asker, name, query.type, answer.rcode, outcome ?? answer.outcomeName, why, answer.counts[0], startedAt);
    return this.#copy(length);
  }

  #fail(
    query: Query,
    message: Buffer,
    asker: Asker,
    name: string,
    rcode: number,
    outcome: Outcome,
    why: string,
    startedAt: number,
  ): Buffer {
    asker.view.stats.count(query.type, outcomeIndex[outcome]);
    this.#write(asker, name, query.type, rcode, outcome, why, 0, startedAt);
    return this.#empty(query, message, rcode);
  }

  #write(
    asker: Asker,
    name: string,
    type: number,
    rcode: number,
    outcome: Outcome,
    source: string,
    answers: number,
    startedAt: number,
  ): void {
    if (!this.#log.active) return;
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

  #empty(query: Query, message: Buffer, rcode: number): Buffer {
    return this.#copy(writeEmpty(query, message, 0, this.#scratch, 0, rcode));
  }

  #copy(length: number): Buffer {
    return Buffer.from(this.#scratch.subarray(0, length));
  }
}
