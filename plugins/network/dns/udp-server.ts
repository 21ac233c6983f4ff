/**
 * Queries over UDP on one socket: the hot path. A wake-up takes what has arrived in one system call, answers from the view's table
 * without allocating, and sends in one system call; whatever is not ready there goes to the responder.
 */
import { performance } from 'node:perf_hooks';
import { DatagramArena, Outbox, readSockaddr, serveDatagrams } from '../../linux/datagram.ts';
import { formatIp, ipFromBytes } from '../address/ip.ts';
import type { Answer } from './answer.ts';
import type { EngineResolver } from './engine-resolver.ts';
import { FairShare } from './fair-share.ts';
import { readName } from './name.ts';
import type { PeerViews } from './peer-views.ts';
import { Query } from './query.ts';
import type { QueryLog } from './query-log.ts';
import type { Asker, ClientBudget, Responder } from './responder.ts';
import { outcomeIndex } from './stats.ts';
import type { View } from './view.ts';
import { headerLength, rcodeName, typeName } from './wire.ts';

/** How long one socket may be served per wake-up before the others get their turn. */
const turnMs = 0.5;
/** Budgets of clients that have nothing under way are dropped when there are this many. */
const maxBudgets = 4096;

const arena = new DatagramArena(64, 1536);
/** Replies of the responder, at once or later. */
const outbox = new Outbox();
const query = new Query();

export interface UdpServerParts {
  /** Bound, non-blocking; closed by the server. */
  readonly fd: number;
  /** Who sees what: by the socket, and on a shared network by the sender's address there. */
  readonly views: PeerViews;
  readonly responder: Responder;
  readonly log: QueryLog;
  readonly now: () => number;
  readonly engine?: EngineResolver;
  /** Several clients share the socket, so none may take it all. */
  readonly shared: boolean;
}

export class UdpServer {
  readonly #parts: UdpServerParts;
  readonly #watch: { close(): void };
  readonly #budgets = new Map<number, ClientBudget>();
  readonly #share: FairShare | undefined;
  #open = true;

  constructor(parts: UdpServerParts) {
    this.#parts = parts;
    this.#share = parts.shared ? new FairShare() : undefined;
    this.#watch = serveDatagrams(parts.fd, () => this.#serve());
  }

  close(): void {
    this.#open = false;
    outbox.flush();
    this.#watch.close();
  }

  #serve(): void {
    const { fd, views, now, log } = this.#parts;
    const seconds = now();
    const share = this.#share;
    const { only } = views;
    for (let turnEnd = 0; ; ) {
      // Looking once more costs less than a wake-up, and a client that asks one question after the other has the next one there by then.
      const count = arena.receive(fd);
      if (count === 0) return;
      const startedAt = performance.now();
      share?.beginBatch(startedAt);
      let ready = 0;
      let view: View | undefined;
      for (let slot = 0; slot < count; slot++) {
        const start = slot * arena.slotSize;
        const length = arena.lengthOf(slot);
        view = only ?? views.find(arena.peerHash(slot), () => readSockaddr(arena.copyPeer(slot)).address);
        const verdict = query.read(arena.received, start, length);
        if (verdict === 'ignored') continue;
        if (share !== undefined && !share.admits(arena.peerHash(slot))) {
          view.stats.count(query.type, outcomeIndex.limited);
          continue;
        }
        const answer = verdict === 'plain' ? view.find(query, arena.received, start, seconds) : undefined;
        if (answer === undefined) {
          this.#slow(slot, start, length, view);
          continue;
        }
        const { type, udpLimit } = query;
        const size = answer.write(query, arena.received, start, arena.replies, arena.replyOffset, udpLimit, seconds);
        arena.reply(slot, size);
        view.stats.count(type, answer.outcome);
        ready++;
        if (log.active) this.#writeLog(slot, start, length, view, answer, startedAt);
      }
      arena.flush(fd);
      if (ready > 0 && view !== undefined) view.stats.took((performance.now() - startedAt) / 1000, ready);
      if (turnEnd === 0) turnEnd = startedAt + turnMs;
      else if (startedAt > turnEnd) return;
    }
  }

  #writeLog(slot: number, start: number, length: number, view: View, answer: Answer, startedAt: number): void {
    const { address } = readSockaddr(arena.copyPeer(slot));
    this.#parts.log.write({
      time: new Date().toISOString(),
      network: view.label,
      client: formatIp(ipFromBytes(address)),
      transport: 'udp',
      name: `${readName(arena.received.subarray(start, start + length), headerLength)?.name ?? ''}.`,
      type: typeName(query.type),
      rcode: rcodeName(answer.rcode),
      outcome: answer.outcomeName,
      source: answer.source,
      answers: answer.counts[0],
      ms: Math.round((performance.now() - startedAt) * 1000) / 1000,
    });
  }

  #slow(slot: number, start: number, length: number, view: View): void {
    const { responder, engine, fd } = this.#parts;
    const message = Buffer.allocUnsafe(length);
    arena.received.copy(message, 0, start, start + length);
    const asker = new UdpAsker(view, this.#budget(arena.peerHash(slot)), arena.copyPeer(slot), engine);
    responder.respond(message, asker, (reply, size) => {
      if (this.#open) outbox.push(fd, reply, size, asker.sockaddr);
    });
  }

  #budget(peer: number): ClientBudget {
    let budget = this.#budgets.get(peer);
    if (budget === undefined) {
      if (this.#budgets.size >= maxBudgets) {
        for (const [key, old] of this.#budgets) if (old.pending === 0) this.#budgets.delete(key);
      }
      budget = { pending: 0 };
      this.#budgets.set(peer, budget);
    }
    return budget;
  }
}

class UdpAsker implements Asker {
  readonly view: View;
  readonly transport = 'udp';
  readonly client: ClientBudget;
  readonly sockaddr: Uint8Array;
  readonly engine: EngineResolver | undefined;

  constructor(view: View, client: ClientBudget, sockaddr: Uint8Array, engine: EngineResolver | undefined) {
    this.view = view;
    this.client = client;
    this.sockaddr = sockaddr;
    this.engine = engine;
  }

  get address(): string {
    return formatIp(ipFromBytes(readSockaddr(this.sockaddr).address));
  }

  get port(): number {
    return (this.sockaddr[2]! << 8) | this.sockaddr[3]!;
  }
}
