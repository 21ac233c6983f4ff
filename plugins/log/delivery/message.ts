/** One event as it is sent: a whole line, however many pieces it came in, or several lines that belong together. */

export interface Message {
  readonly stderr: boolean;
  /** Nanoseconds since 1970 in two unsigned halves; of the first piece or line. */
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly line: Buffer;
  /** Set when the line was too long or its rest did not come in time: the message is a part of it. */
  readonly part: MessagePart | undefined;
}

export interface MessagePart {
  /** Same for all parts of one line; `""` when the engine gave none. */
  readonly id: string;
  /** Counts from 1. */
  readonly ordinal: number;
  readonly last: boolean;
}

/** Turns messages into what goes over the wire. */
export interface MessageFormat {
  /** Adds the message to the batch, framed for the transport. Messages that a protocol cannot carry are left out. */
  add(message: Message, batch: WireBatch): void;
}

/** Bytes to be sent and, for datagrams, where each one ends. */
const quietBytes = 1024;

export class WireBatch {
  buffer: Buffer;
  length = 0;
  readonly ends: number[] = [];
  messages = 0;
  lineBytes = 0;
  readonly #capacity: number;

  /** `capacity`: what it may keep while it is in use; it starts small. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.buffer = Buffer.allocUnsafe(quietBytes);
  }

  /** Room for so many bytes behind `length`; returns the buffer to write into. */
  reserve(bytes: number): Buffer {
    if (this.length + bytes > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length + bytes, 2 * this.buffer.length));
      this.buffer.copy(larger, 0, 0, this.length);
      this.buffer = larger;
    }
    return this.buffer;
  }

  /** One datagram, or one piece of the stream, ends at this length. */
  end(length: number): void {
    this.length = length;
    this.ends.push(length);
  }

  /** Nothing is to be sent for now: most containers are quiet most of the time. */
  release(): void {
    if (this.length === 0 && this.buffer.length > quietBytes) this.buffer = Buffer.allocUnsafe(quietBytes);
  }

  clear(): void {
    this.length = 0;
    this.ends.length = 0;
    this.messages = 0;
    this.lineBytes = 0;
    // A line of a megabyte does not make every container hold a megabyte for ever.
    if (this.buffer.length > 4 * this.#capacity) this.buffer = Buffer.allocUnsafe(this.#capacity);
  }
}
