/**
 * Questions that are not ours to answer: cache, single flight, upstreams by domain (split DNS). One forwarder serves every network
 * with the same upstreams, so that they share what has been learned.
 */
import type { Answer } from './answer.ts';
import { AnswerCache, answerFromResponse, type CacheLimits } from './cache.ts';
import { stripSuffix } from './name.ts';
import { sameKey } from './query.ts';
import type { ServerAddress } from './server-address.ts';
import { type GroupReply, UpstreamGroup, type UpstreamQuestion } from './upstream-group.ts';

/** Servers for one domain and what is below it; the domain `` is everything else. */
export interface ForwardRule {
  readonly domain: string;
  readonly servers: readonly ServerAddress[];
}

export interface ForwardQuestion extends UpstreamQuestion {
  /** Lower-case text. */
  readonly name: string;
  /** Lower-case wire name and type. */
  readonly key: Uint8Array;
  /** Of the key and the DO bit (query.ts). */
  readonly hash: number;
}

export type ForwardOutcome =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly cached: boolean }
  | { readonly kind: 'failed'; readonly why: string };

export type ForwardDone = (outcome: ForwardOutcome) => void;

/** A question that is under way, and all who wait for its answer. */
interface Flight {
  readonly question: ForwardQuestion;
  readonly waiting: ForwardDone[];
}

export class Forwarder {
  readonly cache: AnswerCache;
  readonly groups: readonly { readonly domain: string; readonly group: UpstreamGroup }[];
  readonly #flights = new Map<number, Flight>();
  readonly #now: () => number;
  readonly counts = { hits: 0, misses: 0, joined: 0 };

  /** `now` in seconds. */
  constructor(rules: readonly ForwardRule[], now: () => number, limits?: CacheLimits) {
    this.cache = new AnswerCache(limits);
    this.#now = now;
    // Longest domain first: the first that fits is the most exact.
    this.groups = [...rules]
      .sort((a, b) => b.domain.length - a.domain.length)
      .map((rule) => ({ domain: rule.domain, group: new UpstreamGroup(rule.servers) }));
  }

  /** The answer if it is in the cache. */
  find(question: ForwardQuestion): Answer | undefined {
    return question.checkingDisabled ? undefined : this.cache.find(question.hash, question.key, this.#now());
  }

  /** Whoever asks what is being asked already waits for the same answer. Calls back once, at once or later. */
  ask(question: ForwardQuestion, done: ForwardDone): void {
    const cached = this.find(question);
    if (cached !== undefined) {
      this.counts.hits++;
      done({ kind: 'answer', answer: cached, cached: true });
      return;
    }
    const { hash, key, checkingDisabled } = question;
    const flying = this.#flights.get(hash);
    if (
      flying !== undefined &&
      sameKey(flying.question.key, key) &&
      flying.question.checkingDisabled === checkingDisabled
    ) {
      this.counts.joined++;
      flying.waiting.push(done);
      return;
    }
    this.counts.misses++;
    const flight = { question, waiting: [done] };
    // Of two questions with one hash, the later flies alone.
    if (flying === undefined) this.#flights.set(hash, flight);
    this.#fly(question, (outcome) => {
      if (this.#flights.get(hash) === flight) this.#flights.delete(hash);
      for (const one of flight.waiting) one(outcome);
    });
  }

  /** How many questions are under way. */
  get inFlight(): number {
    return this.#flights.size;
  }

  close(): void {
    for (const { group } of this.groups) group.close();
  }

  #fly(question: ForwardQuestion, done: ForwardDone): void {
    const { name } = question;
    const found = this.groups.find(
      ({ domain }) => domain === '' || name === domain || stripSuffix(name, domain) !== undefined,
    );
    if (found === undefined || found.group.upstreams.length === 0) {
      done({ kind: 'failed', why: 'no upstream is configured' });
      return;
    }
    found.group.ask(question, (reply) => done(this.#outcomeOf(question, reply)));
  }

  #outcomeOf(question: ForwardQuestion, reply: GroupReply | undefined): ForwardOutcome {
    if (reply === undefined) return { kind: 'failed', why: 'no upstream answered' };
    const { message, response, upstream } = reply;
    const now = this.#now();
    const lifetime = this.cache.lifetime(message, response);
    const answer = answerFromResponse(message, response, question, upstream, now, lifetime);
    if (answer === undefined) return { kind: 'failed', why: `${upstream} answered another question` };
    if (lifetime > 0 && !question.checkingDisabled) this.cache.put(question.hash, answer);
    return { kind: 'answer', answer, cached: false };
  }
}
