/**
 * Questions that are not ours to answer: cache, single flight, upstreams by domain (split DNS). One forwarder serves every network
 * with the same upstreams, so that they share what has been learned.
 */
import type { Answer } from './answer.ts';
import { AnswerCache, answerFromResponse, type CacheLimits } from './cache.ts';
import { stripSuffix } from './name.ts';
import type { ServerAddress } from './server-address.ts';
import { UpstreamGroup, type UpstreamQuestion } from './upstream-group.ts';

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
}

export type ForwardOutcome =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly cached: boolean }
  | { readonly kind: 'failed'; readonly why: string };

export class Forwarder {
  readonly cache: AnswerCache;
  readonly groups: readonly { readonly domain: string; readonly group: UpstreamGroup }[];
  readonly #flights = new Map<string, Promise<ForwardOutcome>>();
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
    return question.checkingDisabled ? undefined : this.cache.find(flightKey(question), this.#now());
  }

  /** Whoever asks what is being asked already waits for the same answer. Never rejects. */
  ask(question: ForwardQuestion): Promise<ForwardOutcome> {
    const key = flightKey(question);
    const cached = this.find(question);
    if (cached !== undefined) {
      this.counts.hits++;
      return Promise.resolve({ kind: 'answer', answer: cached, cached: true });
    }
    const flying = this.#flights.get(key);
    if (flying !== undefined) {
      this.counts.joined++;
      return flying;
    }
    this.counts.misses++;
    const flight = this.#fly(question, key).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  /** How many questions are under way. */
  get inFlight(): number {
    return this.#flights.size;
  }

  close(): void {
    for (const { group } of this.groups) group.close();
  }

  async #fly(question: ForwardQuestion, key: string): Promise<ForwardOutcome> {
    const { name } = question;
    const found = this.groups.find(
      ({ domain }) => domain === '' || name === domain || stripSuffix(name, domain) !== undefined,
    );
    if (found === undefined || found.group.upstreams.length === 0)
      return { kind: 'failed', why: 'no upstream is configured' };
    const reply = await found.group.ask(question);
    if (reply === undefined) return { kind: 'failed', why: 'no upstream answered' };
    const { message, response } = reply;
    const now = this.#now();
    const lifetime = this.cache.lifetime(message, response);
    const answer = answerFromResponse(message, response, question, reply.upstream, now, lifetime);
    if (answer === undefined) return { kind: 'failed', why: `${reply.upstream} answered another question` };
    if (lifetime > 0 && !question.checkingDisabled) this.cache.put(key, answer);
    return { kind: 'answer', answer, cached: false };
  }
}

function flightKey(question: ForwardQuestion): string {
  const bits = (question.dnssecOk ? 1 : 0) + (question.checkingDisabled ? 2 : 0);
  return `${bits}${Buffer.from(question.key.buffer, question.key.byteOffset, question.key.length).toString('latin1')}`;
}
