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
import { PluginError } from '../sdk/errors.ts';
import type { Scope } from '../sdk/network-plugin.ts';
import type { MountRequest, Volume, VolumeDriver } from '../sdk/volume-plugin.ts';
import { type Hold, holdVolume, markOld, releaseVolume } from './active-mounts.ts';
import { Attachments } from './attachments.ts';
import type { Backend } from './backend.ts';
import { type CommonConfig, labelsOf } from './common-options.ts';
import { HealthBoard } from './health.ts';
import { Holders } from './holders.ts';
import type { Layout } from './layout.ts';
import { maskOption } from './mask.ts';
import { createTimeoutMs, mountTimeout, startBudget } from './mount-deadline.ts';
import { describeDrift, keptOptions } from './option-drift.ts';
import type { VolumeRecord, VolumeRecords } from './records.ts';
import { describeStatus, type StatusFacts } from './status.ts';
import type { Trash } from './trash.ts';
import { UsageBoard } from './usage-board.ts';
import { identify } from './users.ts';
import { parseVolumeName } from './volume-name.ts';
import { VolumeQueue } from './volume-queue.ts';
import { VolumeSet } from './volume-set.ts';

/** How long Unmount waits for the detach behind it: enough for a healthy one, no burden for `docker stop` with a sick one. */
const unmountPatienceMs = 1000;
const detachTimeoutMs = 10_000;
const releaseAgainMs = 5000;

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

export class DriverVolumes<C extends CommonConfig> extends VolumeSet<C> implements VolumeDriver {
  readonly capabilities: { readonly scope: Scope };
  readonly health: HealthBoard;
  readonly queue = new VolumeQueue();
  readonly attachments: Attachments<C>;
  readonly holders: Holders<C>;
  readonly usage: UsageBoard<C>;
  readonly #options: VolumeDriverOptions<C>;
  readonly #log: Logger;

  constructor(options: VolumeDriverOptions<C>) {
    const { backend, records, scope, layout, log, onStep } = options;
    super(backend, records);
    this.#options = options;
    this.#log = log;
    this.capabilities = { scope };
    this.health = new HealthBoard(options.now);
    const { health, queue } = this;
    this.attachments = new Attachments(this, { health, queue, mountsFolder: layout.mounts, log, onStep });
    this.holders = new Holders(this, this.attachments, options);
    this.usage = new UsageBoard(this, this.attachments, health, log);
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
    this.usage.notice(record);
    return this.#describe(record);
  }

  async list(): Promise<readonly Volume[]> {
    // Engines show no more than the names; a thousand volumes with all their Status would be a megabyte each time.
    return this.ready().map((record) => ({
      ...this.#identity(record),
      status: { health: this.health.get(record.name)?.health ?? 'idle' },
    }));
  }

  async path({ name }: { readonly name: string }): Promise<string | undefined> {
    return this.attachments.path(this.require(name));
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
      const { path, details = record.details } = await this.attachments.attach(
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
        void this.attachments.detachSoon(record.name);
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
      this.usage.notice(record);
      const holds = releaseVolume(record.holds, id, this.holders.isDoubtful(record, held), this.#options.now());
      try {
        this.records.put({ ...record, holds });
      } catch (error) {
        // A full disk. An engine takes no failure back, and would mount the same ID again: it is released when there is room.
        this.#log.error({ volume: name, err: error }, 'the release could not be written down; tried again');
        setTimeout(() => void this.unmount({ name, id }), releaseAgainMs).unref();
        return undefined;
      }
      this.#options.onStep('unmount:recorded');
      // In an object, since the detach is a turn of its own: this one must not wait for it.
      return holds.length === 0 ? { done: this.attachments.detachSoon(record.name) } : undefined;
    });
    await Promise.race([detach?.done, new Promise((resolve) => setTimeout(resolve, unmountPatienceMs).unref())]);
  }

  async remove({ name }: { readonly name: string }): Promise<void> {
    await this.queue.run(name, async () => {
      const found = this.records.get(name);
      if (found === undefined) return;
      const record = this.holders.withoutStale(found);
      this.holders.refuseWhileHeld(record);
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
    for (const { name } of this.holders.suspects()) {
      void this.queue
        .run(name, async () => {
          const record = this.records.get(name);
          if (record !== undefined && this.holders.withoutStale(record).holds.length === 0)
            void this.attachments.detachSoon(name);
        })
        .catch((error: unknown) => this.#log.warn({ volume: name, err: error }, 'old holds could not be looked at'));
    }
    this.attachments.retryPending();
  }

  /** From `ready`, or from `removing` after a crash; called inside the volume's queue. */
  async finishRemoval(record: VolumeRecord): Promise<void> {
    const { config } = this.volume(record);
    if (this.backend.ownsData(config)) this.records.put({ ...record, state: 'removing' });
    this.#options.onStep('remove:recorded');
    try {
      await this.attachments.detach(record);
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
    this.attachments.forget(record.name);
    this.usage.forget(record.name);
    this.#options.onStep('remove:forgotten');
    this.#options.trash.emptySoon();
  }

  /** Nothing is queued, and no timer is left. */
  async stop(): Promise<void> {
    this.attachments.stop();
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
    const record = this.holders.withoutStale(existing);
    this.holders.refuseWhileHeld(record);
    const { config: from, ...volume } = this.volume(record);
    this.backend.checkUpdate({ ...volume, config }, from);
    await this.attachments.detach(record);
    const details = await this.backend.update({ ...volume, config }, from, startBudget(createTimeoutMs, signal));
    this.records.put({ ...record, options: keptOptions(options), details });
    this.#log.info({ volume: record.name, changed: text }, 'options changed');
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
    return {
      ...this.#identity(record),
      status: describeStatus(record, this.health.get(record.name), this.#facts(record)),
    };
  }

  #identity(record: VolumeRecord): Volume {
    const { name, createdAt } = record;
    const mountpoint = this.attachments.path(record);
    return { name, createdAt: new Date(createdAt), ...(mountpoint === undefined ? {} : { mountpoint }) };
  }

  /** A record that a newer version wrote must not take the list of all the others with it. */
  #facts(record: VolumeRecord): StatusFacts {
    try {
      const volume = this.volume(record);
      return { labels: labelsOf(volume.config), ...this.backend.describe?.(volume) };
    } catch (error) {
      this.health.fail(record.name, 'failed', error);
      return { labels: {} };
    }
  }
}
