/** What the server has to be told of: lines that were given up before it had them. Told again when the connection fails first. */
import { type DropCount, dropText } from '../drops.ts';
import { highHalf, lowHalf } from '../nano-time.ts';
import type { Message } from './message.ts';

export class DropNotice {
  #untold: DropCount;
  /** Sent, and not confirmed yet. */
  #told: DropCount = { lines: 0, bytes: 0 };

  constructor(untold: DropCount) {
    this.#untold = { ...untold };
  }

  add(lost: DropCount): void {
    this.#untold = sum(this.#untold, lost);
  }

  get waiting(): boolean {
    return this.#untold.lines > 0;
  }

  /** Everything that no server has confirmed to know. */
  get open(): DropCount {
    return sum(this.#untold, this.#told);
  }

  /** The message to be sent at this place, once. */
  take(): Message {
    const { lines, bytes } = this.#untold;
    this.#told = this.open;
    this.#untold = { lines: 0, bytes: 0 };
    const now = BigInt(Date.now()) * 1_000_000n;
    const line = Buffer.from(dropText(lines, bytes, 'the spool was full'));
    return { stderr: true, timeHigh: highHalf(now), timeLow: lowHalf(now), line, part: undefined };
  }

  confirmed(): void {
    this.#told = { lines: 0, bytes: 0 };
  }

  failed(): void {
    this.#untold = this.open;
    this.#told = { lines: 0, bytes: 0 };
  }
}

function sum(a: DropCount, b: DropCount): DropCount {
  return { lines: a.lines + b.lines, bytes: a.bytes + b.bytes };
}
