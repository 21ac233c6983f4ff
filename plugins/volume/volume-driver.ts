/**
 * The part that all three drivers share, one instance for each: the protocol's verbs over a backend. What changes a volume
 * goes through that volume's queue and is on disk before the answer; Get, List and Path read records and memory only.
 *
 * ```
 * create    (none) ─► creating ─► ready          a crash in between: the leftovers go at the next start
 * mount     attach, then the hold on disk, then the answer
 * unmount   the hold off the disk, then detach when it was the last
 * remove    ready ─► removing ─► data renamed to the trash ─► (none), deleted from the trash in the background
 * ```
 */
import type { Logger } from 'pino';
import { type MountEntry, readMountinfo } from '../linux/mountinfo.ts';
import { PluginError } from '../sdk/errors.ts';
import type { Scope } from '../sdk/network-plugin.ts';
import type { MountRequest, Volume, VolumeDriver } from '../sdk/volume-plugin.ts';
import { dropEnded, dropStale, type Hold, holdVolume, markOld, releaseVolume } from './active-mounts.ts';
import type { Attached, Backend, BackendVolume, Budget, Usage } from './backend.ts';
import { type CommonConfig, labelsOf } from './common-options.ts';
import { HealthBoard } from './health.ts';
import type { Layout } from './layout.ts';
import { maskOption } from './mask.ts';
import { createTimeoutMs, mountTimeout, startBudget } from './mount-deadline.ts';
import { describeDrift, keptOptions } from './option-drift.ts';
import { processLives } from './process-holds.ts';
import type { VolumeRecord, VolumeRecords } from './records.ts';
import { describeStatus } from './status.ts';
import type { Trash } from './trash.ts';
import { UsageMeter } from './usage-meter.ts';
import { describeUser, findUsers, identify, type VolumeUser } from './users.ts';
import { parseVolumeName } from './volume-name.ts';
import { VolumeQueue } from './volume-queue.ts';

/** How long Unmount waits for the detach behind it: enough for a healthy one, no burden for `docker stop` with a sick one. */
const unmountPatienceMs = 1000;
const detachTimeoutMs = 10_000;
const measureTimeoutMs = 30_000;

export interface VolumeDriverOptions<C extends CommonConfig> {
  readonly backend: Backend<C>;
  readonly records: VolumeRecords;
  readonly layout: Layout;
  readonly trash: Trash;
  readonly log: Logger;
  readonly scope: Scope;
  readonly now: () => Date;
  /** How long an old hold is believed while no mount namespace uses the volume. */
  readonly staleAfterMs: number;
  /** Told of each step between which a crash leaves something half done. */
  readonly onStep: (step: string) => void;
}

export class DriverVolumes<C extends CommonConfig> implements VolumeDriver {
  readonly capabilities: { readonly scope: Scope };
  readonly backend: Backend<C>;
  readonly records: VolumeRecords;
  readonly health: HealthBoard;
  readonly queue = new VolumeQueue();
  readonly #options: VolumeDriverOptions<C>;
  readonly #log: Logger;
  /** Where each attached volume is visible; checked against the kernel at the start and at each mount. */
  readonly #attached = new Map<string, string>();
  readonly #configs = new WeakMap<VolumeRecord['options'], C>();
  readonly #keepTimers = new Map<string, NodeJS.Timeout>();
  readonly #usage: UsageMeter;

  constructor(options: VolumeDriverOptions<C>) {
    this.#options = options;
    this.backend = options.backend;
    this.records = options.records;
    this.capabilities = { scope: options.scope };
    this.health = new HealthBoard(options.now);
    this.#log = options.log;
    this.#usage = new UsageMeter(options.now, options.log);
  }

  async create(
    { name, options }: { readonly name: string; readonly options: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<void> {
    const checked = parseVolumeName(name);
    const config = this.backend.parse(options);
    await this.queue.run(checked, async () => {
      const existing = this.records.get(checked);
      if (existing !== undefined) return await this.#createAgain(existing, options, config, signal);
      const record: VolumeRecord = {
        name: checked,
        state: 'creating',
        options: keptOptions(options),
        createdAt: this.#options.now().toISOString(),
        holds: [],
        details: {},
      };
      // One write to the disk less where a crash leaves an empty folder at most.
      if (!this.backend.isMadeAtOnce(config)) this.records.put(record);
      this.#options.onStep('create:recorded');
      try {
        const details = await this.backend.create(
          { name: checked, config, details: {} },
          startBudget(createTimeoutMs, signal),
        );
        if (signal.aborted) throw signal.reason;
        this.#options.onStep('create:made');
        this.records.put({ ...record, state: 'ready', details });
      } catch (error) {
        await this.#forget(record, config);
        throw error;
      }
      this.#options.onStep('create:ready');
      this.#log.info({ volume: checked }, 'created');
    });
  }

  async get({ name }: { readonly name: string }): Promise<Volume | undefined> {
    const record = this.records.get(name);
    if (record === undefined || record.state !== 'ready') return undefined;
    this.#noticeUsage(record);
    return this.#describe(record);
  }

  async list(): Promise<readonly Volume[]> {
    return this.records
      .all()
      .filter((record) => record.state === 'ready')
      .map((record) => this.#describe(record));
  }

  async path({ name }: { readonly name: string }): Promise<string | undefined> {
    return this.attachedPath(this.require(name));
  }

  async mount(request: MountRequest, signal: AbortSignal): Promise<string> {
    return await this.hold(request, signal);
  }

  /** Mount, for an engine or for a process of ours that holds the volume for as long as it lives. */
  async hold({ name, id }: MountRequest, signal: AbortSignal, process?: Hold['process']): Promise<string> {
    if (id === '') throw new PluginError('PROTO_BODY', `the mount of volume "${name}" has no ID`);
    parseVolumeName(name);
    return await this.queue.run(name, async () => {
      const record = this.require(name);
      const { config } = this.volume(record);
      const { path, details = record.details } = await this.attach(
        record,
        startBudget(mountTimeout(id, config.mountTimeoutMs), signal),
      );
      this.#options.onStep('mount:attached');
      try {
        // Given up by the caller: nobody would ever release it.
        if (signal.aborted) throw signal.reason;
        const mounted = identify(path);
        const holds = holdVolume(record.holds, id, this.#options.now(), process);
        this.records.put({ ...record, details, holds, ...(mounted === undefined ? {} : { mounted }) });
      } catch (error) {
        void this.detachSoon(record.name);
        throw error;
      }
      this.#options.onStep('mount:recorded');
      return path;
    });
  }

  async unmount({ name, id }: MountRequest): Promise<void> {
    const detach = await this.queue.run(name, async () => {
      const record = this.records.get(name);
      const held = record?.holds.find((hold) => hold.id === id);
      if (record === undefined || held === undefined) return undefined;
      const last = record.holds.length === 1 && (held.count === 1 || held.old !== undefined);
      // Asking the kernel costs a look at every process, so it is asked only when the release may be wrong, or costly if it is.
      const doubtful =
        last && (held.adopted || held.old !== undefined || this.backend.ownsFileSystem(this.volume(record).config));
      this.#noticeUsage(record);
      const holds = releaseVolume(
        record.holds,
        id,
        doubtful === true && this.users(record).length > 0,
        this.#options.now(),
      );
      this.records.put({ ...record, holds });
      this.#options.onStep('unmount:recorded');
      // In an object, since the detach is a turn of its own: this one must not wait for it.
      return holds.length === 0 ? { done: this.detachSoon(record.name) } : undefined;
    });
    await Promise.race([detach?.done, new Promise((resolve) => setTimeout(resolve, unmountPatienceMs).unref())]);
  }

  async remove({ name }: { readonly name: string }): Promise<void> {
    await this.queue.run(name, async () => {
      const found = this.records.get(name);
      if (found === undefined) return;
      const record = this.#withoutStaleHolds(found);
      this.#refuseWhileHeld(record);
      await this.finishRemoval(record);
      this.#log.info({ volume: name }, 'removed');
    });
  }

  /** An engine has restarted: it may never release what it held, and may mount it again by the same ID. */
  activated(client: 'docker' | 'podman' | 'other'): void {
    if (client === 'podman') return;
    this.records.transaction(() => {
      for (const record of this.records.all()) {
        if (record.holds.length > 0) this.records.put({ ...record, holds: markOld(record.holds, this.#options.now()) });
      }
    });
  }

  /** Holds that nobody stands behind, after a restart or a lost answer: they end, and what they held is detached. */
  sweep(): void {
    for (const record of this.records.all()) {
      if (
        record.state !== 'ready' ||
        record.holds.every((hold) => hold.old === undefined && hold.process === undefined)
      )
        continue;
      void this.queue.run(record.name, async () => {
        const now = this.records.get(record.name);
        if (now !== undefined && this.#withoutStaleHolds(now).holds.length === 0) void this.detachSoon(record.name);
      });
    }
  }

  /** Throws VOL_NOT_FOUND. */
  require(name: string): VolumeRecord {
    const record = this.records.get(name);
    if (record?.state === 'ready') return record;
    throw new PluginError('VOL_NOT_FOUND', `${this.backend.driver} has no volume "${name}"`, {
      hint: 'create it first',
    });
  }

  volume(record: VolumeRecord): BackendVolume<C> {
    let config = this.#configs.get(record.options);
    if (config === undefined) {
      config = this.backend.parse(record.options);
      this.#configs.set(record.options, config);
    }
    return { name: record.name, config, details: record.details };
  }

  attachedPath(record: VolumeRecord): string | undefined {
    return this.#attached.get(record.name);
  }

  /** Looks into the mount table: at the start, and when something may have happened behind us. */
  noticeAttached(record: VolumeRecord, mounts: readonly MountEntry[]): string | undefined {
    const path = this.backend.attachedPath(this.volume(record), mounts);
    if (path === undefined) this.#attached.delete(record.name);
    else this.#attached.set(record.name, path);
    return path;
  }

  /** Everybody who uses the volume now, by the mount tables of all processes. */
  users(record: VolumeRecord): readonly VolumeUser[] {
    const mounts = readMountinfo();
    const path = this.noticeAttached(record, mounts);
    const identity = (path === undefined ? undefined : identify(path, mounts)) ?? record.mounted;
    if (identity === undefined) return [];
    return findUsers(identity, this.#options.layout.mounts);
  }

  /** Called inside the volume's queue. */
  async attach(record: VolumeRecord, budget: Budget): Promise<Attached> {
    this.#stopKeeping(record.name);
    try {
      const attached = await this.backend.attach(this.volume(record), budget);
      this.#attached.set(record.name, attached.path);
      this.health.set(record.name, 'mounted');
      this.health.note(record.name, attached.note);
      return attached;
    } catch (error) {
      this.health.fail(record.name, 'failed', error);
      // What was mounted on the way.
      void this.detachSoon(record.name);
      throw error;
    }
  }

  /** From `ready`, or from `removing` after a crash; called inside the volume's queue. */
  async finishRemoval(record: VolumeRecord): Promise<void> {
    const { config } = this.volume(record);
    if (this.backend.ownsData(config)) this.records.put({ ...record, state: 'removing' });
    this.#options.onStep('remove:recorded');
    try {
      this.#stopKeeping(record.name);
      await this.#detach(record);
      this.#options.onStep('remove:detached');
      await this.backend.discard(this.volume(record));
    } catch (error) {
      if (this.backend.ownsData(config)) this.records.put({ ...record, state: 'ready' });
      this.health.fail(record.name, 'failed', error);
      throw error;
    }
    this.#options.onStep('remove:discarded');
    this.records.delete(record.name);
    this.health.forget(record.name);
    this.#options.onStep('remove:forgotten');
    this.#options.trash.emptySoon();
  }

  /** Nothing is queued, and no timer is left. */
  async stop(): Promise<void> {
    for (const name of [...this.#keepTimers.keys()]) this.#stopKeeping(name);
    await this.queue.idle();
  }

  async #createAgain(
    existing: VolumeRecord,
    options: Readonly<Record<string, string>>,
    config: C,
    signal: AbortSignal,
  ): Promise<void> {
    const differences = describeDrift(existing.options, options, maskOption);
    if (differences.length === 0) return;
    const text = differences.join(', ');
    if (config.onChange === 'refuse') {
      throw new PluginError('VOL_OPTIONS_DIFFER', `volume "${existing.name}" exists with other options: ${text}`, {
        hint: 'use the same options, remove the volume, or give on-change=update to apply them while nobody holds it',
      });
    }
    const record = this.#withoutStaleHolds(existing);
    this.#refuseWhileHeld(record);
    const { config: from, ...volume } = this.volume(record);
    this.backend.checkUpdate({ ...volume, config }, from);
    await this.#detach(record);
    const details = await this.backend.update({ ...volume, config }, from, startBudget(createTimeoutMs, signal));
    this.records.put({ ...record, options: keptOptions(options), details });
    this.#log.info({ volume: record.name, changed: text }, 'options changed');
  }

  #withoutStaleHolds(record: VolumeRecord): VolumeRecord {
    let holds = dropEnded(record.holds, processLives);
    if (holds.some((hold) => hold.old !== undefined) && this.users(record).length === 0) {
      holds = dropStale(holds, this.#options.now(), this.#options.staleAfterMs);
    }
    if (holds.length === record.holds.length) return record;
    this.#log.info(
      { volume: record.name, dropped: record.holds.length - holds.length },
      'holds that nobody stands behind are dropped',
    );
    const next = { ...record, holds };
    this.records.put(next);
    return next;
  }

  #refuseWhileHeld(record: VolumeRecord): void {
    // What is not ours is not deleted either: others may use the same folder of a machine or server.
    const users =
      record.holds.length > 0 || this.backend.ownsData(this.volume(record).config) ? this.users(record) : [];
    if (record.holds.length === 0 && users.length === 0) return;
    const names = users.map(describeUser);
    const ids = record.holds.map((hold) => `mount ID ${hold.id.slice(0, 12)} since ${hold.since}`);
    const [first, ...more] = names.length > 0 ? names : ids;
    throw new PluginError('VOL_IN_USE', `volume "${record.name}" is in use by ${[first, ...more].join(', ')}`, {
      hint: 'stop and remove what uses it; `cleat volume holders` lists everything',
    });
  }

  /** A turn of its own in the queue: by then somebody may hold the volume again. Never rejects. */
  detachSoon(name: string): Promise<void> {
    return this.queue
      .run(name, async () => {
        const record = this.records.get(name);
        if (record?.state !== 'ready' || record.holds.length > 0) return;
        const { config } = this.volume(record);
        const keepMs = this.backend.keepMs?.(config) ?? 0;
        if (keepMs > 0 && !this.#keepTimers.has(name)) return this.#keepFor(name, keepMs);
        // A second one beside it would be a stranger with the same name: it stays until the last user has gone.
        if (this.backend.ownsFileSystem(config) && this.users(record).length > 0) return;
        await this.#detach(record);
        this.#options.onStep('unmount:detached');
      })
      .catch((error: unknown) => {
        this.health.fail(name, 'mounted', error);
        this.#log.warn({ volume: name, err: error }, 'not detached; tried again later');
      });
  }

  async #detach(record: VolumeRecord): Promise<void> {
    const note = await this.backend.detach(this.volume(record), startBudget(detachTimeoutMs));
    this.noticeAttached(record, readMountinfo());
    const { health } = this.health.get(record.name) ?? {};
    if (health !== 'failed' && health !== 'retrying') this.health.set(record.name, 'idle');
    this.health.note(record.name, note);
  }

  /** What cannot be known at once comes with a later Get: measuring may take long, and Get does not wait. */
  #noticeUsage(record: VolumeRecord): void {
    const { name } = record;
    const known = this.#usageNow(record);
    if (known !== undefined) {
      this.health.usage(name, known);
      return;
    }
    this.#usage.measureSoon(name, async (budget) => {
      const usage = await this.backend.usage(this.volume(record), budget);
      if (this.records.get(name) !== undefined) this.health.usage(name, usage);
    });
  }

  /** For a command that asks how full everything is, and waits. */
  async measureAll(): Promise<void> {
    await Promise.allSettled(
      this.records.all().map(async (record) => {
        const budget = startBudget(measureTimeoutMs);
        const usage = this.#usageNow(record) ?? (await this.backend.usage(this.volume(record), budget));
        if (this.records.get(record.name) !== undefined) this.health.usage(record.name, usage);
      }),
    );
  }

  #usageNow(record: VolumeRecord): Usage | undefined {
    try {
      return this.backend.usageNow(this.volume(record), this.attachedPath(record));
    } catch (error) {
      // Unmounted or deleted behind us: the next mount says so, and inspecting still works.
      this.#log.debug({ volume: record.name, err: error }, 'usage could not be read');
      return {};
    }
  }

  #keepFor(name: string, keepMs: number): void {
    if (keepMs === Number.POSITIVE_INFINITY) return;
    const timer = setTimeout(() => {
      void this.detachSoon(name).finally(() => this.#stopKeeping(name));
    }, keepMs);
    this.#keepTimers.set(name, timer.unref());
  }

  #stopKeeping(name: string): void {
    clearTimeout(this.#keepTimers.get(name));
    this.#keepTimers.delete(name);
  }

  async #forget(record: VolumeRecord, config: C): Promise<void> {
    try {
      const volume = { name: record.name, config, details: {} };
      await this.backend.detach(volume, startBudget(detachTimeoutMs));
      await this.backend.discard(volume);
      this.records.delete(record.name);
      this.#options.trash.emptySoon();
    } catch (error) {
      this.#log.warn(
        { volume: record.name, err: error },
        'a half-made volume could not be cleaned up; the next start tries again',
      );
    }
  }

  #describe(record: VolumeRecord): Volume {
    const volume = this.volume(record);
    const mountpoint = this.attachedPath(record);
    return {
      name: record.name,
      createdAt: new Date(record.createdAt),
      ...(mountpoint === undefined ? {} : { mountpoint }),
      status: describeStatus(record, this.health.get(record.name), {
        labels: labelsOf(volume.config),
        ...this.backend.describe?.(volume),
      }),
    };
  }
}
