/** conmon's reports to who started it: one JSON line each, `{"data": N, "message": "…"}`. */
import type { Readable } from 'node:stream';

export interface SyncReport {
  /** The pid, or negative when there is none; later, for an exec session, its exit code. */
  readonly data: number;
  readonly message?: string;
}

const maxLineBytes = 1 << 20;

export class SyncPipe {
  readonly #pipe: Readable;
  readonly #lines: string[] = [];
  #text = '';
  #ended = false;
  #waiting: (() => void) | undefined;

  constructor(pipe: Readable) {
    this.#pipe = pipe;
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => this.#take(chunk));
    for (const event of ['end', 'error', 'close']) pipe.on(event, () => this.#end());
  }

  /** Undefined when the pipe has ended without another report. Throws for what is no report. */
  async next(): Promise<SyncReport | undefined> {
    while (this.#lines.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    const line = this.#lines.shift();
    if (line === undefined) return undefined;
    try {
      return JSON.parse(line) as SyncReport;
    } catch (error) {
      throw new Error(`conmon answered: ${line}`, { cause: error });
    }
  }

  close(): void {
    this.#pipe.destroy();
    this.#end();
  }

  #take(chunk: string): void {
    this.#text += chunk;
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    this.#lines.push(...lines.filter((line) => line.trim() !== ''));
    if (this.#text.length > maxLineBytes) this.close();
    this.#wake();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#text.trim() !== '') this.#lines.push(this.#text);
    this.#text = '';
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}
