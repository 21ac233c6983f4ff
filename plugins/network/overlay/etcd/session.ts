/** The way to the store: one connection at a time, to whichever member answers, for as long as it works. */
import { ConnectError } from '@connectrpc/connect';
import { PluginError } from '../../../sdk/errors.ts';
import type { EtcdConfig } from './config.ts';
import { Connection } from './connection.ts';

/** Short, so that hosts are back within two seconds after the store is. */
const firstPauseMs = 50;
const longestPauseMs = 400;
/** How long a verb waits for a store that is just not there: below the four seconds that every handler has. */
const patienceMs = 2500;

export interface SessionCounts {
  sessions: number;
  /** Changes of others and our own that the store told of. */
  events: number;
  /** Records that we wrote or deleted. */
  writes: number;
}

export class Session {
  readonly connection: Connection;
  readonly #abort = new AbortController();
  readonly #counts: SessionCounts;
  #revision = 0n;
  #fail: (error: unknown) => void = () => {};
  /** Rejects when anything of the session fails. */
  readonly failed: Promise<never>;

  constructor(connection: Connection, counts: SessionCounts) {
    this.connection = connection;
    this.#counts = counts;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Whoever waits for it sees it; nobody need be waiting yet.
    this.failed.catch(() => {});
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get revision(): bigint {
    return this.#revision;
  }

  /** A task of this session: when it fails, the session is over. */
  run(task: Promise<unknown>): void {
    task.catch((error: unknown) => this.#fail(error));
  }

  saw(revision: bigint, events: number): void {
    this.#revision = revision;
    this.#counts.events += events;
  }

  wrote(count: number): void {
    this.#counts.writes += count;
  }

  end(): void {
    this.#abort.abort();
    this.#fail(new Error('it was ended here'));
    this.connection.close();
  }
}

export interface SessionKeeperParts {
  readonly config: EtcdConfig;
  /** Everything that a new session begins with; resolves when it is ready to be used. */
  readonly begin: (session: Session) => Promise<void>;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class SessionKeeper {
  readonly counts: SessionCounts = { sessions: 0, events: 0, writes: 0 };
  readonly #parts: SessionKeeperParts;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  #session: Session | undefined;
  #opening: Session | undefined;
  #state = 'connecting';
  readonly #waiting = new Set<(session: Session) => void>();

  constructor(parts: SessionKeeperParts) {
    this.#parts = parts;
    this.#loop = this.#run();
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** `connected`, or what went wrong last. */
  get state(): string {
    return this.#state;
  }

  /** Throws NET_OVERLAY_STORE when there is none for too long. */
  async wait(): Promise<Session> {
    if (this.#session) return this.#session;
    return await new Promise<Session>((resolve, reject) => {
      const take = (session: Session) => {
        clearTimeout(timer);
        resolve(session);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(take);
        reject(storeError(this.#state));
      }, patienceMs);
      this.#waiting.add(take);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#session?.end();
    this.#opening?.end();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { config, log } = this.#parts;
    // Not everybody to the first member.
    let at = Math.floor(Math.random() * config.endpoints.length);
    let pauseMs = firstPauseMs;
    while (!this.#closing.signal.aborted) {
      const endpoint = config.endpoints[at % config.endpoints.length] ?? '';
      at++;
      const began = performance.now();
      const reason = await this.#hold(endpoint).then(
        () => 'the session ended',
        (error: unknown) => (error instanceof ConnectError ? error.rawMessage : (error as Error).message),
      );
      if (this.#closing.signal.aborted) return;
      if (this.#state === 'connected' || this.#state !== reason)
        log.warn({ endpoint, reason }, 'no connection to the store');
      this.#state = reason;
      if (performance.now() - began > 10 * longestPauseMs) pauseMs = firstPauseMs;
      await pause(pauseMs * (0.5 + Math.random() / 2), this.#closing.signal);
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }

  /** Ends by throwing, with the reason. */
  async #hold(endpoint: string): Promise<void> {
    const { config, begin, log } = this.#parts;
    const session = new Session(await Connection.open(endpoint, config), this.counts);
    this.#opening = session;
    try {
      if (this.#closing.signal.aborted) return;
      await Promise.race([begin(session), session.failed]);
      this.#session = session;
      this.#state = 'connected';
      this.counts.sessions++;
      log.info({ endpoint, version: session.connection.version }, 'connected to the store');
      for (const take of this.#waiting) take(session);
      this.#waiting.clear();
      await session.failed;
    } finally {
      this.#session = undefined;
      this.#opening = undefined;
      session.end();
    }
  }
}

export function storeError(reason: string, cause?: unknown): PluginError {
  return new PluginError('NET_OVERLAY_STORE', `the store of the overlay networks cannot be used: ${reason}`, {
    hint: 'see `cleat overlay store`; containers and networks that are there go on without it',
    ...(cause !== undefined && { cause }),
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
