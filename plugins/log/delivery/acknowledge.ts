/**
 * Which part of what was sent may be forgotten. Bytes that the peer's kernel has acknowledged can still be lost with a server that
 * dies before it reads them, so a position counts as confirmed only some time after its bytes were acknowledged on a connection
 * that still stands. Everything behind it is sent again over the next connection.
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

export class Acknowledgements {
  readonly #lagMs: number;
  #marks: Mark[] = [];
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

  /** A new connection: what was not confirmed will be sent again. */
  reset(): void {
    this.#marks = [];
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
    let confirmed: Position | undefined;
    let kept = 0;
    for (const mark of this.#marks) {
      if (mark.total > acknowledged) break;
      mark.acknowledgedAt ??= now;
      if (now - mark.acknowledgedAt < this.#lagMs) break;
      confirmed = mark.position;
      kept++;
    }
    if (kept > 0) this.#marks.splice(0, kept);
    return confirmed;
  }

  /** How long the peer has acknowledged nothing although it has something to. */
  get stalledMs(): number {
    return this.#unacknowledged === 0 ? 0 : performance.now() - this.#progressAt;
  }
}
