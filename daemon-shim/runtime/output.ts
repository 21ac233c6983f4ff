/**
 * What a container writes, given to everybody who listens: the log copier, attached clients. Nobody sees a byte twice, and
 * a listener that asks for time holds the container's output up, as Docker's blocking mode does; the listener decides when
 * enough is enough.
 */

export type OutputStream = 'stdout' | 'stderr';

export interface OutputListener {
  /** A promise means: send nothing more until it settles. It must settle in bounded time. */
  take(stream: OutputStream, chunk: Buffer): Promise<void> | undefined;
  /** No more output will come. */
  end(): void;
}

/** Something with output: `pause` and `resume` hold it up. */
export interface OutputSource {
  pause(): void;
  resume(): void;
}

export class Output {
  readonly #listeners = new Set<OutputListener>();
  readonly #sources = new Set<OutputSource>();
  #waiting = 0;
  #ended = false;

  addSource(source: OutputSource): void {
    this.#sources.add(source);
    if (this.#waiting > 0) source.pause();
  }

  removeSource(source: OutputSource): void {
    this.#sources.delete(source);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Returns the way to stop listening. A listener that comes after the end is told so at once. */
  listen(listener: OutputListener): () => void {
    if (this.#ended) {
      listener.end();
      return () => {};
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  deliver(stream: OutputStream, chunk: Buffer): void {
    for (const listener of this.#listeners) {
      const busy = listener.take(stream, chunk);
      if (busy !== undefined) this.#wait(busy);
    }
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const listener of this.#listeners) listener.end();
    this.#listeners.clear();
  }

  #wait(busy: Promise<void>): void {
    this.#waiting += 1;
    if (this.#waiting === 1) for (const source of this.#sources) source.pause();
    const done = () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) for (const source of this.#sources) source.resume();
    };
    busy.then(done, done);
  }
}
