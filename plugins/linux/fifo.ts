/**
 * Reads a FIFO so that nothing is lost when the reader is killed at any moment: `peek` duplicates what is in the pipe with
 * tee(2) and leaves it there, `consume` removes it once the caller has put it somewhere safe. A reader that dies between
 * the two finds the same bytes again.
 *
 * ```
 *  writer ──► FIFO ──tee──► private pipe ──read──► buffer ──► caller's file, then consume: FIFO ──splice──► /dev/null
 * ```
 *
 * Readiness comes from the event loop (uv_poll), never from the thread pool, where a few idle FIFOs would stop every other
 * file operation of the process. The private pipe and the buffer are shared by all readers: a peek is read to its end at
 * once, so both are empty between two calls.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import koffi from 'koffi';
import { KernelError } from './errors.ts';
import { check, F_SETPIPE_SZ, lastErrno, libc, O_CLOEXEC, O_NONBLOCK, SPLICE_F_NONBLOCK } from './syscall.ts';

/** As much as an unprivileged process may ask for: /proc/sys/fs/pipe-max-size, 1 MiB by default. pipe(7) */
const pipeBytes = 1024 * 1024;
const EAGAIN = 11;

export type Peeked =
  | { readonly kind: 'data'; readonly data: Buffer }
  /** Nothing now; a writer may still come. */
  | { readonly kind: 'empty' }
  /** No data, and no writer has the FIFO open. */
  | { readonly kind: 'ended' };

const nothing: Peeked = { kind: 'empty' };
const ended: Peeked = { kind: 'ended' };

interface Scratch {
  readonly readEnd: number;
  readonly writeEnd: number;
  readonly sink: number;
  readonly buffer: Buffer;
}

let scratch: Scratch | undefined;

function sharedScratch(): Scratch {
  if (scratch) return scratch;
  const pair = new Int32Array(2);
  check(libc.pipe2(pair, O_NONBLOCK | O_CLOEXEC), 'pipe2');
  const [readEnd = -1, writeEnd = -1] = pair;
  const size = enlarge(writeEnd);
  scratch = { readEnd, writeEnd, sink: openSync('/dev/null', 'w'), buffer: Buffer.allocUnsafe(size) };
  return scratch;
}

/** A bigger pipe lets the writer go on while the reader works; where it is refused the default of 64 KiB stays. */
function enlarge(fd: number): number {
  const size = libc.fcntl(fd, F_SETPIPE_SZ, pipeBytes);
  return size > 0 ? size : 64 * 1024;
}

export class FifoReader {
  readonly path: string;
  /** Bytes that the FIFO holds at most. */
  readonly capacity: number;
  readonly #fd: number;
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  readonly #onReadable: () => void;
  #watching = true;
  #open = true;

  /**
   * Opens an existing FIFO for reading; throws ENOENT as `fs` does, KernelError ENOTSUP for what is no FIFO. `onReadable`
   * is called again and again while there is data or the writers are gone, until `pause`.
   */
  constructor(path: string, onReadable: () => void) {
    this.path = path;
    // O_NONBLOCK: a FIFO that nobody writes to opens at once. fifo(7)
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(this.#fd).isFIFO()) {
      closeSync(this.#fd);
      throw new KernelError({ errno: 95, call: 'open', args: path, detail: 'not a FIFO' });
    }
    this.capacity = enlarge(this.#fd);
    this.#onReadable = onReadable;
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, onReadable);
  }

  /** What is in the pipe, up to `maxBytes`, without taking it out. The buffer is valid until the next peek of any reader. */
  peek(maxBytes: number): Peeked {
    const { readEnd, writeEnd, buffer } = sharedScratch();
    const count = libc.tee(this.#fd, writeEnd, Math.min(maxBytes, buffer.length), SPLICE_F_NONBLOCK);
    if (count === 0) return ended;
    if (count < 0) {
      const errno = lastErrno();
      if (errno === EAGAIN) return nothing;
      throw new KernelError({ errno, call: 'tee', args: this.path });
    }
    let read = 0;
    while (read < count) read += readSync(readEnd, buffer, read, count - read, null);
    return { kind: 'data', data: buffer.subarray(0, count) };
  }

  /** Takes out the first `bytes` of what was peeked. */
  consume(bytes: number): void {
    let left = bytes;
    while (left > 0) {
      const { sink } = sharedScratch();
      const moved = check(libc.splice(this.#fd, null, sink, null, left, SPLICE_F_NONBLOCK), 'splice', this.path);
      if (moved === 0) return;
      left -= moved;
    }
  }

  pause(): void {
    if (!this.#open || !this.#watching) return;
    this.#watching = false;
    this.#poll.stop();
  }

  resume(): void {
    if (!this.#open || this.#watching) return;
    this.#watching = true;
    this.#poll.start({ readable: true }, this.#onReadable);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    closeSync(this.#fd);
  }
}
