/**
 * The containers: their records (on disk before anybody is answered), what is running behind them, and who may change them.
 * One lock per container orders its verbs; lists and lookups never wait for it.
 */
import type { Store, Table } from '../../plugins/store/store.ts';
import { ApiError, badRequest, conflict, noSuchContainer } from '../api/api-error.ts';
import type { ExecSession } from '../exec/session.ts';
import type { LogSession } from '../log/session.ts';
import type { ContainerStreams } from '../runtime/stdio.ts';
import type { ContainerRecord, ContainerState } from './record.ts';

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** A container as long as the shim knows it. */
export class Container {
  #record: ContainerRecord;
  #remembers = false;
  readonly #store: Store;
  readonly #table: Table<ContainerRecord>;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #waiters = new Set<{ readonly condition: WaitCondition; readonly resolve: (exitCode: number) => void }>();
  #streams: ContainerStreams | undefined;
  #streamWaiters: (() => void)[] = [];
  /** Open while it runs, unless the driver is none. */
  logSession: LogSession | undefined;
  /** Exec sessions by id; those that have ended stay until the container's next start. */
  readonly execs = new Map<string, ExecSession>();
  /** Set by stop, kill and rm, so that a restart policy does not bring it back meanwhile. */
  stopRequested = false;
  /** Set during the restart verb: `--rm` does not hold for its end. */
  restartRequested = false;
  /** A restart that waits for its back-off to pass. */
  restartTimer: NodeJS.Timeout | undefined;
  healthTimer: NodeJS.Timeout | undefined;
  /** Set while health checks run. */
  endHealth: (() => void) | undefined;
  /** The back-off before the last restart. */
  restartDelayMs: number | undefined;

  constructor(record: ContainerRecord, store: Store, table: Table<ContainerRecord>) {
    this.#record = record;
    this.#store = store;
    this.#table = table;
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  get state(): ContainerState {
    return this.#record.state;
  }

  get isRunning(): boolean {
    const { status } = this.state;
    return status === 'running' || status === 'paused';
  }

  /** On disk when it returns, with what was only remembered before. */
  update(change: Partial<ContainerRecord>): void {
    const record = { ...this.#record, ...change };
    this.#table.put(record.id, record);
    this.#record = record;
    this.#remembers = false;
  }

  /**
   * Written when it returns, so that a killed shim's next start finds it, but not safe from a power cut: for what only a running
   * container has, and none runs after that.
   */
  updateRun(change: Partial<ContainerRecord>): void {
    this.#store.unsynced(() => this.update(change));
  }

  /**
   * Seen by everybody at once, on disk with the next `update` or `save`: for what comes between two steps of one verb, whose
   * loss only makes the next start do something again that is done.
   */
  remember(change: Partial<ContainerRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#remembers = true;
  }

  save(): void {
    if (this.#remembers) this.update({});
  }

  updateState(change: Partial<ContainerState>): void {
    this.update({ state: { ...this.state, ...change } });
  }

  /** Present while it runs (or is paused). */
  get streams(): ContainerStreams | undefined {
    return this.#streams;
  }

  set streams(streams: ContainerStreams | undefined) {
    this.#streams = streams;
    if (streams !== undefined) this.#tellStreamWaiters();
  }

  /**
   * Clients attach before the start, the first or a later one: resolves when there are streams, when a start has failed, and
   * when the signal says that nobody waits any more.
   */
  whenStreams(signal: AbortSignal): Promise<void> {
    if (this.#streams !== undefined || this.isRunning || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#streamWaiters.push(resolve);
      const forget = () => {
        this.#streamWaiters = this.#streamWaiters.filter((waiting) => waiting !== resolve);
        resolve();
      };
      signal.addEventListener('abort', forget, { once: true });
    });
  }

  #tellStreamWaiters(): void {
    const waiting = this.#streamWaiters;
    this.#streamWaiters = [];
    for (const resolve of waiting) resolve();
  }

  /** Runs `work` when all earlier work on this container has ended. */
  locked<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Resolves with the exit code; `next-exit` ignores the present state. */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<number> {
    const { status, exitCode } = this.state;
    if (condition === 'not-running' && !this.isRunning && status !== 'restarting') return Promise.resolve(exitCode);
    return new Promise((resolve) => {
      const waiter = { condition, resolve };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', () => this.#waiters.delete(waiter), { once: true });
    });
  }

  /** Tells those who wait: after an exit, and after the removal. */
  settle(event: 'exited' | 'removed'): void {
    this.#tellStreamWaiters();
    for (const waiter of this.#waiters) {
      if (event === 'exited' && waiter.condition === 'removed') continue;
      this.#waiters.delete(waiter);
      waiter.resolve(this.state.exitCode);
    }
  }
}

export class ContainerRegistry {
  readonly #store: Store;
  readonly #table: Table<ContainerRecord>;
  readonly #byId = new Map<string, Container>();
  readonly #idByName = new Map<string, string>();

  constructor(store: Store) {
    this.#store = store;
    this.#table = store.table<ContainerRecord>('container', { version: 1 });
    for (const [, record] of this.#table.entries()) this.#index(new Container(record, store, this.#table));
  }

  /** Newest first, as `docker ps` lists them. */
  list(): Container[] {
    return [...this.#byId.values()].sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  }

  /** By id, name (with or without slash) or unique id prefix. */
  find(nameOrId: string): Container | undefined {
    const name = nameOrId.replace(/^\//, '');
    const exact = this.#byId.get(name) ?? this.#byId.get(this.#idByName.get(name) ?? '');
    if (exact !== undefined || !/^[0-9a-f]+$/.test(name)) return exact;
    const matches = [...this.#byId.values()].filter((container) => container.id.startsWith(name));
    if (matches.length > 1) throw badRequest(`multiple IDs found with provided prefix: ${name}`);
    return matches[0];
  }

  get(nameOrId: string): Container {
    const container = this.find(nameOrId);
    if (container === undefined) throw noSuchContainer(nameOrId);
    return container;
  }

  /** Throws 400 for a malformed name and 409 for one that is taken. */
  checkName(name: string, except?: string): void {
    if (!namePattern.test(name)) {
      throw badRequest(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    }
    const holder = this.#idByName.get(name);
    if (holder === undefined || holder === except) return;
    throw conflict(
      `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }

  add(record: ContainerRecord): Container {
    this.checkName(record.name);
    if (this.#byId.has(record.id)) throw new ApiError(500, `container ${record.id} exists`);
    this.#table.put(record.id, record);
    const container = new Container(record, this.#store, this.#table);
    this.#index(container);
    return container;
  }

  rename(container: Container, name: string): void {
    try {
      this.checkName(name, container.id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new ApiError(
        error.statusCode,
        `Error when allocating new name: ${error.message.replace(`(${name})`, `(/${name})`)}`,
        { cause: error },
      );
    }
    this.#idByName.delete(container.record.name);
    container.update({ name });
    this.#idByName.set(name, container.id);
  }

  remove(container: Container): void {
    this.#table.delete(container.id);
    this.#byId.delete(container.id);
    this.#idByName.delete(container.record.name);
  }

  #index(container: Container): void {
    this.#byId.set(container.id, container);
    this.#idByName.set(container.record.name, container.id);
  }
}
