/**
 * One upstream server: sockets to it, how quick it is, whether it answers at all.
 *
 * A small set of connected sockets, each on a random port of the kernel's choice and replaced after a while, carries many
 * queries at a time: a forged answer would have to hit the port and the id of the one query it is for (RFC 5452 §4.5). Queries of
 * one moment leave together, over one of the sockets.
 */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { boundPort, DatagramArena, Outbox, openUdp, serveDatagrams } from '../../linux/datagram.ts';
import { isKernelError } from '../../linux/errors.ts';
import { type Response, readResponse } from './response.ts';
import type { ServerAddress } from './server-address.ts';

const socketsPerUpstream = 8;
/** A socket is replaced after this many queries, or this long after its first. */
const queriesPerSocket = 512;
const socketLifeMs = 20_000;
/** Until the first answer, an upstream counts as this quick. */
const firstGuessMs = 20;

export interface UpstreamReply {
  readonly message: Buffer;
  readonly response: Response;
}

type Waiter = (reply: UpstreamReply) => void;

interface Lane {
  readonly fd: number;
  readonly port: number;
  readonly waiting: Map<number, Waiter>;
  readonly openedAt: number;
  used: number;
  retired: boolean;
  close(): void;
}

const arena = new DatagramArena(64, 4096);
const outbox = new Outbox();
/** Local port → lane, over all upstreams: a query that comes in from one of these is our own. */
const lanesByPort = new Map<number, Lane>();
const randomIds = new Uint16Array(512);
let nextRandom = randomIds.length;

function randomId(): number {
  if (nextRandom === randomIds.length) {
    randomFillSync(randomIds);
    nextRandom = 0;
  }
  return randomIds[nextRandom++]!;
}

/** Whether a query with this source port and id is one that we sent out ourselves: a loop. */
export function isOwnQuery(port: number, id: number): boolean {
  return lanesByPort.get(port)?.waiting.has(id) === true;
}

export class Upstream {
  readonly address: ServerAddress;
  /** Smoothed time to an answer, ms. */
  srttMs = firstGuessMs;
  /** Queries in a row without an answer. */
  silent = 0;
  /** It sent our own query back to us; it is not asked any more. */
  loops = false;
  /** It refused EDNS (RFC 6891 §7). */
  plain = false;
  lastProbe = 0;
  readonly counts = { sent: 0, answered: 0, lost: 0 };
  readonly #lanes: Lane[] = [];
  /** The lane of the queries that wait in the outbox. */
  #boarding: Lane | undefined;

  constructor(address: ServerAddress) {
    this.address = address;
  }

  /** Order of preference: small is good. */
  get score(): number {
    if (this.loops) return Number.MAX_VALUE;
    return this.silent >= 2 ? 1e6 + this.silent : this.srttMs * (1 + this.silent);
  }

  get isDown(): boolean {
    return this.loops || this.silent >= 2;
  }

  /**
   * Sends a query over UDP, the first `length` bytes of `message`, of which a copy is made; `onReply` is called with each response to
   * this id until the returned function is. The two bytes of id are overwritten. Throws KernelError when there is no way to the server.
   */
  send(message: Uint8Array, length: number, onReply: Waiter): () => void {
    const lane = this.#lane();
    let id = randomId();
    while (lane.waiting.has(id)) id = randomId();
    message[0] = id >> 8;
    message[1] = id;
    lane.waiting.set(id, onReply);
    lane.used++;
    this.counts.sent++;
    // A refused send (the path is down) is a lost datagram: the timer of the asker goes on to the next server.
    outbox.push(lane.fd, message, length, null);
    return () => {
      if (!lane.waiting.delete(id)) return;
      if (lane.retired && lane.waiting.size === 0) lane.close();
    };
  }

  answeredAfter(ms: number): void {
    this.counts.answered++;
    this.silent = 0;
    this.srttMs += (ms - this.srttMs) / 8;
  }

  wasSilent(): void {
    this.counts.lost++;
    this.silent++;
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
    this.#lanes.length = 0;
  }

  #lane(): Lane {
    const boarding = this.#boarding;
    if (boarding !== undefined && !outbox.isEmpty && !boarding.retired && boarding.used < queriesPerSocket)
      return boarding;
    this.#boarding = this.#pickLane();
    return this.#boarding;
  }

  #pickLane(): Lane {
    const now = performance.now();
    const index = randomId() % socketsPerUpstream;
    const lane = this.#lanes[index];
    if (lane !== undefined && lane.used < queriesPerSocket && now - lane.openedAt < socketLifeMs) return lane;
    if (lane !== undefined) {
      lane.retired = true;
      if (lane.waiting.size === 0) lane.close();
    }
    // Fill from the front, so that there are as many as are needed.
    const place = lane === undefined ? this.#lanes.length : index;
    const fresh = this.#open(now);
    this.#lanes[place] = fresh;
    return fresh;
  }

  #open(now: number): Lane {
    const { bytes, port, scopeId } = this.address;
    const fd = openUdp({ port: 0, connectTo: { address: bytes, port, scopeId }, receiveBufferBytes: 1 << 20 });
    const waiting = new Map<number, Waiter>();
    const watch = serveDatagrams(fd, () => receive(fd, waiting, lane));
    const localPort = boundPort(fd);
    const lane: Lane = {
      fd,
      port: localPort,
      waiting,
      openedAt: now,
      used: 0,
      retired: false,
      close() {
        lanesByPort.delete(localPort);
        outbox.flush();
        watch.close();
      },
    };
    lanesByPort.set(localPort, lane);
    return lane;
  }
}

function receive(fd: number, waiting: Map<number, Waiter>, lane: Lane): void {
  const count = arena.receive(fd);
  for (let slot = 0; slot < count; slot++) {
    const start = slot * arena.slotSize;
    const length = arena.lengthOf(slot);
    if (length < 12 || arena.isTruncated(slot)) continue;
    const waiter = waiting.get((arena.received[start]! << 8) | arena.received[start + 1]!);
    if (waiter === undefined) continue;
    const message = Buffer.allocUnsafe(length);
    arena.received.copy(message, 0, start, start + length);
    const response = readResponse(message);
    if (response === undefined) continue;
    waiter({ message, response });
  }
  if (lane.retired && waiting.size === 0) lane.close();
}

/** Errors that mean "no way there now", as against a defect. */
export function isPathError(error: unknown): boolean {
  return isKernelError(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EPERM', 'EACCES', 'EINVAL', 'EMFILE');
}
