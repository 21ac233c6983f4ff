/**
 * What keeps the host's disk free: files that are too old go, all logs together stay below a limit, and logs of containers that
 * an engine has removed are deleted. Engines tell a plugin nothing about removal, so they are asked.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { LogConfig } from './config.ts';
import type { ContainerLog } from './container-log.ts';
import { listEngineContainers } from './engine-containers.ts';
import type { LogFile, LogFiles } from './files/log-files.ts';
import type { ContainerRecord, LogSessions } from './sessions.ts';

interface Held {
  readonly id: string;
  readonly files: LogFiles;
  readonly open: ContainerLog | undefined;
  readonly maxAgeMs: number | undefined;
}

interface Candidate {
  readonly held: Held;
  readonly file: LogFile;
  readonly size: number;
  readonly modifiedMs: number;
  /** Order of giving up: 0 rotated, 1 of a container that does not run, 2 not sent yet or still written. */
  readonly rank: number;
}

const makeRoomEveryMs = 250;
/** Ids in one question: they are part of its address. */
const mostSeen = 50;
/** A file is ended when it covers this part of max-age, so that what is deleted with it is not much younger. */
const ageParts = 4;

export class Retention {
  readonly #sessions: LogSessions;
  readonly #folder: string;
  readonly #log: Logger;
  #config: LogConfig;
  readonly #unseen = new Set<string>();
  #seeing = false;
  #madeRoomAt = Number.NEGATIVE_INFINITY;

  constructor(options: {
    readonly sessions: LogSessions;
    readonly folder: string;
    readonly config: LogConfig;
    readonly log: Logger;
  }) {
    this.#sessions = options.sessions;
    this.#folder = options.folder;
    this.#config = options.config;
    this.#log = options.log;
  }

  reload(config: LogConfig): void {
    this.#config = config;
  }

  /** Ages and the host's limit. Synchronous and short; called every half minute and by hand. */
  enforce(): void {
    const all = this.#held();
    for (const held of all) this.#age(held);
    this.#fit(all);
  }

  /** The disk is full: the least valuable file goes at once. False when there is none, or one went a moment ago. */
  makeRoom(): boolean {
    if (performance.now() - this.#madeRoomAt < makeRoomEveryMs) return false;
    this.#madeRoomAt = performance.now();
    // What is still to be sent, or being written, is not given up for new lines.
    const [first] = this.#candidates(this.#held()).filter(({ rank }) => rank < 2);
    return first !== undefined && this.#remove(first, 'the disk is full');
  }

  /** Asks the engines, and deletes the logs of containers that they had and have no more. */
  async forgetRemoved(): Promise<void> {
    for (const engine of this.#config.engines) {
      let present: ReadonlySet<string>;
      try {
        present = await listEngineContainers(engine);
      } catch (error) {
        this.#log.debug({ err: error, engine }, 'the engine does not tell its containers');
        continue;
      }
      for (const [id, record] of this.#sessions.containers) this.#compare(engine, present, id, record);
    }
  }

  /** Looks which engine has a container, before it may be gone again; several that come together are asked for together. */
  async see(containerId: string): Promise<void> {
    this.#unseen.add(containerId);
    if (this.#seeing) return;
    this.#seeing = true;
    while (this.#unseen.size > 0) {
      const ids = [...this.#unseen].slice(0, mostSeen);
      for (const id of ids) this.#unseen.delete(id);
      for (const engine of this.#config.engines) {
        try {
          const present = await listEngineContainers(engine, ids);
          for (const id of ids) if (present.has(id)) this.#sessions.note(id, { engine, removedAt: undefined });
        } catch (error) {
          this.#log.debug({ err: error, engine }, 'the engine does not tell its containers');
        }
      }
    }
    this.#seeing = false;
  }

  #compare(engine: string, present: ReadonlySet<string>, id: string, record: ContainerRecord): void {
    if (present.has(id)) {
      if (record.engine !== engine || record.removedAt !== undefined)
        this.#sessions.note(id, { engine, removedAt: undefined });
      return;
    }
    // Never seen there: it belongs to another engine, or was too short-lived to be seen; the host's limit takes care of it.
    if (record.engine !== engine) return;
    const removedAt = record.removedAt ?? Date.now();
    if (record.removedAt === undefined) this.#sessions.note(id, { engine, removedAt });
    else this.#sessions.endSessions(id);
    const open = this.#sessions.openLog(id);
    if (open !== undefined && !open.idle) return;
    if (Date.now() - removedAt >= this.#config.keepRemovedMs) this.#delete(id);
  }

  #delete(id: string): void {
    this.#sessions.forget(id);
    rmSync(join(this.#folder, id), { recursive: true, force: true });
    this.#log.info({ container: id }, 'the container is gone, and now its log');
  }

  #held(): Held[] {
    const records = new Map(this.#sessions.containers);
    return foldersIn(this.#folder).flatMap((id): Held[] => {
      const open = this.#sessions.openLog(id);
      const record = records.get(id);
      if (record === undefined) return [];
      try {
        const prepared = this.#sessions.prepared(record);
        return [
          { id, open, maxAgeMs: prepared.maxAgeMs, files: open?.files ?? prepared.files(this.#sessions.place(id)) },
        ];
      } catch {
        return [];
      }
    });
  }

  #age({ id, files, open, maxAgeMs }: Held): void {
    if (maxAgeMs === undefined) return;
    const newest = files.newest;
    const born = newest && statSync(newest.path, { throwIfNoEntry: false })?.birthtimeMs;
    const active = open?.writer.active;
    if (active && active.size > 0 && born !== undefined && Date.now() - born > maxAgeMs / ageParts) active.rotate();
    for (;;) {
      const [oldest] = files.all;
      if (oldest === undefined || (oldest === files.newest && open !== undefined)) return;
      const stat = statSync(oldest.path, { throwIfNoEntry: false });
      if (stat !== undefined && Date.now() - stat.mtimeMs <= maxAgeMs) return;
      if (open?.delivery?.isSent(oldest.sequence) === false) return;
      files.removeOldest();
      this.#log.info({ container: id, file: oldest.path, bytes: stat?.size }, 'a log file has reached max-age');
    }
  }

  #fit(all: readonly Held[]): void {
    const candidates = this.#candidates(all);
    let total = candidates.reduce((sum, { size }) => sum + size, 0);
    for (const candidate of candidates) {
      if (total <= this.#config.maxTotalBytes) return;
      if (this.#remove(candidate, 'all logs together have reached max-total-size')) total -= candidate.size;
    }
  }

  /** In the order in which they are given up. */
  #candidates(all: readonly Held[]): Candidate[] {
    const candidates = all.flatMap((held) =>
      held.files.all.map((file): Candidate => {
        const stat = statSync(file.path, { throwIfNoEntry: false });
        const unsent = held.open?.delivery?.isSent(file.sequence) === false;
        const rank =
          held.open !== undefined && (unsent || file === held.files.newest) ? 2 : file === held.files.newest ? 1 : 0;
        return { held, file, size: stat?.size ?? 0, modifiedMs: stat?.mtimeMs ?? 0, rank };
      }),
    );
    return candidates.sort((a, b) => a.rank - b.rank || a.modifiedMs - b.modifiedMs);
  }

  #remove({ held, file, size }: Candidate, reason: string): boolean {
    const { files, open, id } = held;
    if (file.removed) return false;
    this.#log.warn({ container: id, file: file.path, bytes: size }, `log file deleted: ${reason}`);
    if (open?.delivery !== undefined && !open.delivery.isSent(file.sequence)) return open.delivery.dropOldest();
    // The file that grows is ended first; a chain renames it then.
    if (open !== undefined && file === files.newest) open.writer.active.rotate();
    while (files.all.length > 0 && !file.removed) files.removeOldest();
    return file.removed;
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
