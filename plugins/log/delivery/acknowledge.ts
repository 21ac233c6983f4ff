/**
 * Which part of what was sent may be forgotten. Bytes that the peer's kernel has acknowledged can still be lost with a server that
 * dies before it reads them, so a position counts as confirmed only some time after its bytes were acknowledged on a connection
 * that still stands. Everything behind it is sent again over the next connection.
 *
 * A peer that accepts and does not read looks the same for as long as its kernel has room. That it did not read shows in the end:
 * it stalls, or its end of the connection is a reset. Then what its kernel may hold is sent again as well (`doubtful`).
 */
import type { Connection } from './connection.ts';
import type { Position } from './cursor.ts';

interface Mark {
  /** Bytes sent over this connection when the position was reached. */
  total: number;
  position: Position;
  readonly sentAt: number;
  acknowledgedAt: number | undefined;
}

const mergeMs = 50;
/** The largest receive buffer that Linux gives by default is 6 MB. tcp(7): tcp_rmem */
const peerBufferBytes = 8 * 1024 * 1024;
/** Confirmed positions are remembered that far apart, for what is doubtful. */
const grainBytes = peerBufferBytes / 64;
const mostRemembered = 256;
/** A reset after a long silence is a time limit of something in between, and says nothing of what was sent before. */
const resetDoubtMs = 30_000;

export class Acknowledgements {
  readonly #lagMs: number;
  #marks: Mark[] = [];
  /** Confirmed ones that the peer's kernel may still hold, the oldest first. */
  #confirmed: Mark[] = [];
  #start: Position | undefined;
  #total = 0;
  #unacknowledged = 0;
  #progressAt = performance.now();

  constructor(lagMs: number) {
    this.#lagMs = lagMs;
  }

  /** Whether something waits for its confirmation. */
  get pending(): boolean {
    return this.#marks.length > 0;
  }

  /** A new connection, on which sending begins at this position: what was not confirmed will be sent again. */
  reset(start: Position): void {
    this.#marks = [];
    this.#confirmed = [];
    this.#start = start;
    this.#total = this.#unacknowledged = 0;
    this.#progressAt = performance.now();
  }

  /** What lies before the position is now with the kernel. */
  sent(bytes: number, position: Position): void {
    const now = performance.now();
    if (this.#unacknowledged === 0) this.#progressAt = now;
    this.#total += bytes;
    const last = this.#marks.at(-1);
    if (last && last.acknowledgedAt === undefined && now - last.sentAt < mergeMs) {
      last.total = this.#total;
      last.position = position;
    } else this.#marks.push({ total: this.#total, position, sentAt: now, acknowledgedAt: undefined });
  }

  /** Looks at the connection; returns the latest position that is confirmed now, if any is. */
  confirm(connection: Connection): Position | undefined {
    const now = performance.now();
    const unacknowledged = connection.unacknowledged();
    if (unacknowledged === 0 || unacknowledged < this.#unacknowledged) this.#progressAt = now;
    this.#unacknowledged = unacknowledged;
    const acknowledged = this.#total - unacknowledged;
    let confirmed: Mark | undefined;
    let kept = 0;
    for (const mark of this.#marks) {
      if (mark.total > acknowledged) break;
      mark.acknowledgedAt ??= now;
      if (now - mark.acknowledgedAt < this.#lagMs) break;
      confirmed = mark;
      kept++;
    }
    if (confirmed === undefined) return undefined;
    this.#marks.splice(0, kept);
    this.#remember(confirmed);
    return confirmed.position;
  }

  /** How long the peer has acknowledged nothing although it has something to. */
  get stalledMs(): number {
    return this.#unacknowledged === 0 ? 0 : performance.now() - this.#progressAt;
  }

  /** From where on the peer may have read nothing, although its kernel has it; undefined when there is no doubt. */
  doubtful(how: 'stalled' | 'reset'): Position | undefined {
    const now = performance.now();
    const reach = this.#total - this.#unacknowledged - peerBufferBytes;
    const since = how === 'reset' ? now - resetDoubtMs : Number.NEGATIVE_INFINITY;
    const safe = this.#confirmed.findLast(({ total, sentAt }) => total <= reach || sentAt <= since);
    return safe?.position ?? this.#start;
  }

  #remember(mark: Mark): void {
    const last = this.#confirmed.at(-1);
    if (last !== undefined && mark.total - last.total < grainBytes && mark.sentAt - last.sentAt < mergeMs * 20) return;
    this.#confirmed.push(mark);
    const reach = this.#total - peerBufferBytes;
    while (this.#confirmed.length > 1 && (this.#confirmed[1]?.total ?? 0) <= reach) this.#confirmed.shift();
    // Many small ones over a long time: every other one will do.
    if (this.#confirmed.length > mostRemembered)
      this.#confirmed = this.#confirmed.filter((_, index) => index % 2 === 0);
  }
}
