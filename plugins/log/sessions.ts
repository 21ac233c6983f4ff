/**
 * The receiving side of all log drivers: which containers log where, which FIFOs are open. Sessions are on disk before
 * StartLogging answers, and every FIFO that still exists is opened again when the daemon starts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { PluginError } from '../sdk/errors.ts';
import type { LogDriver, LogInfo, ReadConfig } from '../sdk/log-plugin.ts';
import type { Store, Table } from '../store/store.ts';
import { redactInfo } from './attributes.ts';
import { ContainerLog } from './container-log.ts';
import type { DriverSpec, LogPlace, PreparedLog } from './driver-spec.ts';
import { type LogSource, readLog } from './read-log.ts';
import { Session } from './session.ts';

/** A container that has a log here. */
export interface ContainerRecord {
  readonly driver: string;
  /** Without labels and variables that were not asked for. */
  readonly info: LogInfo;
  readonly tag: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The engine that was seen to have it, by its API socket. */
  readonly engine?: string | undefined;
  /** When that engine was first seen without it. */
  readonly removedAt?: number | undefined;
}

interface SessionRecord {
  readonly containerId: string;
}

export interface LogSessionsOptions {
  readonly drivers: readonly DriverSpec[];
  readonly store: Store;
  /** One folder per container below it. */
  readonly folder: string;
  readonly log: Logger;
  readonly makeRoom: () => boolean;
  /** A container logs here that no engine was seen to have yet; called after StartLogging is answered. */
  readonly onUnseen: (containerId: string) => void;
}

/** Of the 2 s in which a stop is answered. */
const drainMs = 1500;
/** After StopLogging the engine closes its end at once; a FIFO that stays open longer is given up. */
const lingerMs = 10_000;

export class LogSessions {
  readonly #options: LogSessionsOptions;
  readonly #drivers: ReadonlyMap<string, DriverSpec>;
  readonly #containers: Table<ContainerRecord>;
  readonly #records: Table<SessionRecord>;
  readonly #sessions = new Map<string, Session>();
  readonly #logs = new Map<string, ContainerLog>();
  #closed = false;
  /** Bytes that reads of logs passed over because they were damaged. */
  damagedBytesRead = 0;

  constructor(options: LogSessionsOptions) {
    this.#options = options;
    this.#drivers = new Map(options.drivers.map((driver) => [driver.name, driver]));
    this.#containers = options.store.table('log-containers', { version: 1 });
    this.#records = options.store.table('log-sessions', { version: 1 });
  }

  /** Logs that something happens to at present. */
  get openLogs(): readonly ContainerLog[] {
    return [...this.#logs.values()];
  }

  get containers(): readonly (readonly [id: string, record: ContainerRecord])[] {
    return this.#containers.entries();
  }

  /** Opens the FIFOs of an earlier process first, then goes on sending what it left. */
  restore(): void {
    const { log } = this.#options;
    for (const [file, { containerId }] of this.#records.entries()) {
      const record = this.#containers.get(containerId);
      if (record === undefined || !existsSync(file)) {
        this.#records.delete(file);
        continue;
      }
      try {
        this.#begin(file, this.#open(containerId, record), true);
        log.info({ container: containerId, file }, 'log session taken up again');
      } catch (error) {
        log.error({ err: error, container: containerId, file }, 'log session cannot be taken up again');
      }
    }
    for (const [containerId, record] of this.#containers.entries()) {
      if (this.#logs.has(containerId)) continue;
      try {
        this.#resumeSending(containerId, record);
      } catch (error) {
        log.error({ err: error, container: containerId }, 'what waits to be sent cannot be taken up again');
      }
    }
  }

  driver(name: string): LogDriver {
    const spec = this.#spec(name);
    return {
      capabilities: { readLogs: true },
      startLogging: async ({ file, info }) => this.#start(spec, file, info),
      stopLogging: async ({ file }) => this.#stop(file),
      readLogs: ({ info, config }, signal) => this.read(spec, info, config, signal),
    };
  }

  /** The stored record of a container, by id, name (the newest of that name), or unique beginning of an id. Throws LOG_UNKNOWN. */
  find(nameOrId: string): { readonly id: string; readonly record: ContainerRecord } {
    const entries = this.#containers.entries();
    const named = entries
      .filter(([id, { info }]) => id === nameOrId || info.containerName === `/${nameOrId}`)
      .sort(([, a], [, b]) => b.since - a.since);
    const found = named.length > 0 ? named : entries.filter(([id]) => nameOrId !== '' && id.startsWith(nameOrId));
    const [first, second] = found;
    if (first === undefined)
      throw new PluginError('LOG_UNKNOWN', `no container "${nameOrId}" has a log here`, { hint: 'see cleat log ls' });
    if (named.length === 0 && second !== undefined) {
      throw new PluginError('LOG_UNKNOWN', `${found.length} containers that log here have an id like "${nameOrId}"`, {
        hint: 'give more of it, or the name',
      });
    }
    return { id: first[0], record: first[1] };
  }

  read(spec: DriverSpec, info: LogInfo, config: ReadConfig, signal: AbortSignal): AsyncIterable<Buffer> {
    const open = this.#logs.get(info.containerId);
    const prepared = spec.prepare(info, this.#containers.get(info.containerId)?.tag);
    // Looked for when reading begins: a session may have opened or closed the log since.
    if (!prepared.readable) {
      throw new PluginError('LOG_NOT_KEPT', 'configured logging driver does not support reading', {
        hint: 'its option cache-disabled says so',
      });
    }
    const closed = (): LogSource => ({
      files: prepared.files(this.place(info.containerId)),
      recordScanner: prepared.recordScanner,
    });
    const source = (): LogSource => this.#logs.get(info.containerId) ?? closed();
    const hooks = {
      onDamage: (bytes: number) => {
        this.damagedBytesRead += bytes;
        this.#options.log.warn({ container: info.containerId, bytes }, 'damaged log data was skipped while reading');
      },
    };
    return readLog(source, config, open, hooks, signal);
  }

  /** What a stored container needs to be worked with. Throws PluginError when its options are not accepted any more. */
  prepared(record: ContainerRecord): PreparedLog {
    return this.#spec(record.driver).prepare(record.info, record.tag);
  }

  place(containerId: string): LogPlace {
    return {
      folder: join(this.#options.folder, containerId),
      onError: (error, what) => this.#options.log.error({ err: error, container: containerId }, what),
      onWarning: (fields, message) => this.#options.log.warn({ container: containerId, ...fields }, message),
    };
  }

  openLog(containerId: string): ContainerLog | undefined {
    return this.#logs.get(containerId);
  }

  /** What was learned about a container later. */
  note(containerId: string, facts: Pick<ContainerRecord, 'engine' | 'removedAt'>): void {
    const record = this.#containers.get(containerId);
    if (record !== undefined) this.#containers.put(containerId, { ...record, ...facts });
  }

  readRecord(record: ContainerRecord, config: ReadConfig, signal: AbortSignal): AsyncIterable<Buffer> {
    return this.read(this.#spec(record.driver), record.info, config, signal);
  }

  /** The container is gone: what is still open lost its StopLogging while this daemon was away, and the engine never ends it. */
  endSessions(containerId: string): void {
    for (const session of this.#of(containerId)) {
      while (session.turn() === 'more');
      session.close();
    }
  }

  /** The container is gone: its record, and its log where one is open. Its files are the caller's. */
  forget(containerId: string): void {
    this.#logs.get(containerId)?.close();
    this.#logs.delete(containerId);
    this.#containers.delete(containerId);
  }

  /** Closes what nobody needs any more. */
  tidy(): void {
    for (const [id, log] of this.#logs) {
      log.settle();
      if (!log.idle) continue;
      log.close();
      this.#logs.delete(id);
    }
  }

  /** FIFOs are left as they are: the engine goes on writing, the next process goes on reading. */
  close(): void {
    this.#closed = true;
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) session.close();
    for (const log of this.#logs.values()) log.close();
    this.#logs.clear();
  }

  #spec(name: string): DriverSpec {
    const spec = this.#drivers.get(name);
    if (spec === undefined) throw new PluginError('LOG_DRIVER', `there is no log driver ${name}`);
    return spec;
  }

  #start(spec: DriverSpec, file: string, given: LogInfo): void {
    if (this.#sessions.has(file)) return;
    const prepared = spec.prepare(given);
    const info = redactInfo(given, spec.name);
    const known = this.#containers.get(info.containerId);
    const now = { driver: spec.name, info, tag: prepared.tag };
    // docker logs on a stopped container comes here too, with nothing new.
    const unchanged = known !== undefined && isDeepStrictEqual({ ...known, ...now }, known);
    const record: ContainerRecord = unchanged ? known : { ...now, since: Date.now(), engine: known?.engine };
    const write = (): void => {
      this.#options.store.transaction(() => {
        if (!unchanged) this.#containers.put(info.containerId, record);
        this.#records.put(file, { containerId: info.containerId });
      });
    };
    try {
      write();
    } catch (error) {
      // A disk that is full of old logs does not keep a container from starting.
      if (!this.#options.makeRoom()) throw error;
      write();
    }
    // The engine has ended what an earlier process took up, and could not say so: who follows the log waits for the new one only.
    for (const session of this.#of(info.containerId)) if (session.reattached) session.stop();
    try {
      this.#begin(file, this.#open(info.containerId, record), false);
    } catch (cause) {
      this.#records.delete(file);
      this.tidy();
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new PluginError('LOG_FIFO', `the log FIFO ${file} cannot be opened: ${text}`, { cause });
    }
    if (record.engine === undefined) setImmediate(() => this.#options.onUnseen(info.containerId));
  }

  #of(containerId: string): Session[] {
    return [...this.#sessions.values()].filter((session) => session.container.containerId === containerId);
  }

  async #stop(file: string): Promise<void> {
    const session = this.#sessions.get(file);
    if (session === undefined) return;
    await session.drain(drainMs);
    session.stop();
    // Not in the engine's way: a record that outlives its FIFO is dropped at the next start.
    this.#forgetLater(file);
    const linger = setTimeout(() => session.close(), lingerMs);
    linger.unref();
  }

  #forgetLater(file: string): void {
    setImmediate(() => {
      try {
        this.#records.delete(file);
      } catch (error) {
        if (!this.#closed)
          this.#options.log.error({ err: error, file }, 'the record of a log session cannot be deleted');
      }
    });
  }

  #begin(file: string, container: ContainerLog, reattached: boolean): void {
    const session = new Session(file, container, {
      reattached,
      onEnd: (ended) => {
        if (!this.#sessions.delete(ended.file)) return;
        if (!ended.stopped) this.#forgetLater(ended.file);
        this.tidy();
      },
    });
    this.#sessions.set(file, session);
    if (reattached) session.turn();
  }

  #open(containerId: string, record: ContainerRecord): ContainerLog {
    const open = this.#logs.get(containerId);
    if (open !== undefined) return open;
    const place = this.place(containerId);
    const { writer, delivery } = this.prepared(record).open(place);
    const log = new ContainerLog({
      containerId,
      containerName: record.info.containerName.replace(/^\//, ''),
      driver: record.driver,
      writer,
      dropsPath: join(place.folder, 'drops'),
      ...(delivery && { delivery }),
      makeRoom: this.#options.makeRoom,
      onError: place.onError,
    });
    this.#logs.set(containerId, log);
    return log;
  }

  #resumeSending(containerId: string, record: ContainerRecord): void {
    const log = this.#open(containerId, record);
    if (log.idle) {
      log.close();
      this.#logs.delete(containerId);
    } else log.delivery?.start(log);
  }
}
