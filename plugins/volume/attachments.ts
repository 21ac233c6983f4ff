/**
 * What is visible where: attaching and detaching through the backend, and what the kernel shows of it. All of it runs inside
 * the volume's queue; `detachSoon` takes a turn of its own there.
 */
import type { Logger } from 'pino';
import { type MountEntry, type MountNamespace, readMountinfo } from '../linux/mountinfo.ts';
import type { Attached, Budget } from './backend.ts';
import type { CommonConfig } from './common-options.ts';
import type { HealthBoard } from './health.ts';
import { startBudget } from './mount-deadline.ts';
import type { VolumeRecord } from './records.ts';
import { findUsers, identify, type VolumeUser } from './users.ts';
import type { VolumeQueue } from './volume-queue.ts';
import type { VolumeSet } from './volume-set.ts';

const detachTimeoutMs = 10_000;

export interface AttachmentOptions {
  readonly health: HealthBoard;
  readonly queue: VolumeQueue;
  /** The folder of all our mount points. */
  readonly mountsFolder: string;
  readonly log: Logger;
  readonly onStep: (step: string) => void;
}

export class Attachments<C extends CommonConfig> {
  readonly #set: VolumeSet<C>;
  readonly #options: AttachmentOptions;
  /** Where each attached volume is visible; checked against the kernel at the start and at each mount. */
  readonly #paths = new Map<string, string>();
  /** Kept in memory for a time after their last holder. */
  readonly #keepTimers = new Map<string, NodeJS.Timeout>();
  /** Should have been detached, but were busy. */
  readonly #pending = new Set<string>();

  constructor(set: VolumeSet<C>, options: AttachmentOptions) {
    this.#set = set;
    this.#options = options;
  }

  path(record: VolumeRecord): string | undefined {
    return this.#paths.get(record.name);
  }

  /** Looks into the mount table: at the start, and when something may have happened behind us. */
  notice(record: VolumeRecord, mounts: readonly MountEntry[]): string | undefined {
    const path = this.#set.backend.attachedPath(this.#set.volume(record), mounts);
    if (path === undefined) this.#paths.delete(record.name);
    else this.#paths.set(record.name, path);
    return path;
  }

  /** Everybody who uses the volume now, by the mount tables of all processes. */
  users(record: VolumeRecord, namespaces?: readonly MountNamespace[]): readonly VolumeUser[] {
    const mounts = readMountinfo();
    const path = this.notice(record, mounts);
    const identity = (path === undefined ? undefined : identify(path, mounts)) ?? record.mounted;
    return identity === undefined ? [] : findUsers(identity, this.#options.mountsFolder, namespaces);
  }

  async attach(record: VolumeRecord, budget: Budget): Promise<Attached> {
    const { health } = this.#options;
    this.#stopKeeping(record.name);
    try {
      const attached = await this.#set.backend.attach(this.#set.volume(record), budget);
      this.#paths.set(record.name, attached.path);
      health.set(record.name, 'mounted');
      health.note(record.name, attached.note);
      return attached;
    } catch (error) {
      health.fail(record.name, 'failed', error);
      // What was mounted on the way.
      void this.detachSoon(record.name);
      throw error;
    }
  }

  async detach(record: VolumeRecord): Promise<void> {
    const { health } = this.#options;
    const { name } = record;
    this.#stopKeeping(name);
    const note = await this.#set.backend.detach(this.#set.volume(record), startBudget(detachTimeoutMs));
    this.#pending.delete(name);
    this.notice(record, readMountinfo());
    const { health: now } = health.get(name) ?? {};
    if (now !== 'failed' && now !== 'retrying') health.set(name, 'idle');
    health.note(name, note);
  }

  /** By its turn somebody may hold the volume again. Never rejects. `evenKept`: its time to be kept is over. */
  async detachSoon(name: string, evenKept = false): Promise<void> {
    const { queue, health, log, onStep } = this.#options;
    try {
      await queue.run(name, async () => {
        const record = this.#set.records.get(name);
        if (record?.state !== 'ready' || record.holds.length > 0) return;
        const { config } = this.#set.volume(record);
        const keepMs = this.#set.backend.keepMs?.(config) ?? 0;
        if (keepMs > 0 && !evenKept) return this.#keepFor(name, keepMs);
        // A second one beside it would be a stranger with the same name: it stays until the last user has gone.
        if (this.#set.backend.ownsFileSystem(config) && this.users(record).length > 0)
          return void this.#pending.add(name);
        await this.detach(record);
        onStep('unmount:detached');
      });
    } catch (error) {
      this.#pending.add(name);
      health.fail(name, 'mounted', error);
      log.warn({ volume: name, err: error }, 'not detached; tried again later');
    }
  }

  /** Tries again what was busy. */
  retryPending(): void {
    for (const name of this.#pending) void this.detachSoon(name, true);
  }

  forget(name: string): void {
    this.#stopKeeping(name);
    this.#pending.delete(name);
    this.#paths.delete(name);
  }

  stop(): void {
    for (const timer of this.#keepTimers.values()) clearTimeout(timer);
    this.#keepTimers.clear();
  }

  #keepFor(name: string, keepMs: number): void {
    if (keepMs === Number.POSITIVE_INFINITY || this.#keepTimers.has(name)) return;
    this.#keepTimers.set(name, setTimeout(() => void this.detachSoon(name, true), keepMs).unref());
  }

  #stopKeeping(name: string): void {
    clearTimeout(this.#keepTimers.get(name));
    this.#keepTimers.delete(name);
  }
}
