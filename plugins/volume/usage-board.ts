/** How full volumes are: at once where the kernel counts, in the background where somebody has to walk through the data. */
import type { Logger } from 'pino';
import type { Attachments } from './attachments.ts';
import type { Usage } from './backend.ts';
import type { CommonConfig } from './common-options.ts';
import type { HealthBoard } from './health.ts';
import { startBudget } from './mount-deadline.ts';
import type { VolumeRecord } from './records.ts';
import { UsageMeter } from './usage-meter.ts';
import type { VolumeSet } from './volume-set.ts';

const measureTimeoutMs = 30_000;

export class UsageBoard<C extends CommonConfig> {
  readonly #set: VolumeSet<C>;
  readonly #attachments: Attachments<C>;
  readonly #health: HealthBoard;
  readonly #meter: UsageMeter;
  readonly #log: Logger;

  constructor(set: VolumeSet<C>, attachments: Attachments<C>, health: HealthBoard, log: Logger) {
    this.#set = set;
    this.#attachments = attachments;
    this.#health = health;
    this.#meter = new UsageMeter(log);
    this.#log = log;
  }

  /** What cannot be known at once comes later: nobody waits for it here. */
  notice(record: VolumeRecord): void {
    const known = this.#now(record);
    if (known !== undefined) this.#health.usage(record.name, known);
    else
      this.#meter.measureSoon(record.name, async (budget) =>
        this.#keep(record, await this.#set.backend.usage(this.#set.volume(record), budget)),
      );
  }

  /** For a command that asks how full everything is, and waits. */
  async measureAll(): Promise<void> {
    await Promise.allSettled(
      this.#set.ready().map(async (record) => {
        const budget = startBudget(measureTimeoutMs);
        this.#keep(record, this.#now(record) ?? (await this.#set.backend.usage(this.#set.volume(record), budget)));
      }),
    );
  }

  forget(name: string): void {
    this.#meter.forget(name);
  }

  #keep({ name }: VolumeRecord, usage: Usage): void {
    if (this.#set.records.get(name) !== undefined) this.#health.usage(name, usage);
  }

  #now(record: VolumeRecord): Usage | undefined {
    try {
      return this.#set.backend.usageNow(this.#set.volume(record), this.#attachments.path(record));
    } catch (error) {
      // Unmounted or deleted behind us: the next mount says so, and inspecting still works.
      this.#log.debug({ volume: record.name, err: error }, 'usage could not be read');
      return {};
    }
  }
}
