/** Whether a volume is held: what the records say, corrected by what the kernel shows. */
import type { Logger } from 'pino';
import { readMountNamespaces } from '../linux/mountinfo.ts';
import { PluginError } from '../sdk/errors.ts';
import { dropEnded, dropStale, type Hold } from './active-mounts.ts';
import type { Attachments } from './attachments.ts';
import type { CommonConfig } from './common-options.ts';
import { processLives } from './process-holds.ts';
import type { VolumeRecord } from './records.ts';
import { describeUser } from './users.ts';
import type { VolumeSet } from './volume-set.ts';

export interface HolderOptions {
  readonly now: () => Date;
  /** How long an old hold is believed while no mount namespace uses the volume. */
  readonly staleAfterMs: number;
  readonly log: Logger;
}

export class Holders<C extends CommonConfig> {
  readonly #set: VolumeSet<C>;
  readonly #attachments: Attachments<C>;
  readonly #options: HolderOptions;

  constructor(set: VolumeSet<C>, attachments: Attachments<C>, options: HolderOptions) {
    this.#set = set;
    this.#attachments = attachments;
    this.#options = options;
  }

  /** Ends the holds that nobody stands behind, on disk as well. Called inside the volume's queue. */
  withoutStale(record: VolumeRecord): VolumeRecord {
    const { now, staleAfterMs, log } = this.#options;
    let holds = dropEnded(record.holds, processLives);
    if (holds.some((hold) => hold.old !== undefined) && this.#attachments.users(record).length === 0) {
      holds = dropStale(holds, now(), staleAfterMs);
    }
    if (holds.length === record.holds.length) return record;
    log.info(
      { volume: record.name, dropped: record.holds.length - holds.length },
      'holds that nobody stands behind are dropped',
    );
    const next = { ...record, holds };
    this.#set.records.put(next);
    return next;
  }

  /**
   * Whether the release of this hold has to be taken with doubt, because the volume is still used. Asking the kernel costs a
   * look at every process, so it is asked only when the release may be wrong, or costly if it is.
   */
  isDoubtful(record: VolumeRecord, held: Hold): boolean {
    const last = record.holds.length === 1 && (held.count === 1 || held.old !== undefined);
    const suspect =
      held.adopted === true ||
      held.old !== undefined ||
      this.#set.backend.ownsFileSystem(this.#set.volume(record).config);
    return last && suspect && this.#attachments.users(record).length > 0;
  }

  /** Throws VOL_IN_USE with the names of the holders. */
  refuseWhileHeld(record: VolumeRecord): void {
    // What is not ours is not deleted either: others may use the same folder of a machine or server.
    const asked = record.holds.length > 0 || this.#set.backend.ownsData(this.#set.volume(record).config);
    const users = asked ? this.#attachments.users(record) : [];
    if (record.holds.length === 0 && users.length === 0) return;
    const ids = record.holds.map((hold) => `mount ID ${hold.id.slice(0, 12)} since ${hold.since}`);
    const names = users.length > 0 ? users.map(describeUser) : ids;
    throw new PluginError('VOL_IN_USE', `volume "${record.name}" is in use by ${names.join(', ')}`, {
      hint: 'stop and remove what uses it; `cleat volume holders` lists everything',
    });
  }

  /**
   * The volumes of which a hold may have ended unseen. All are judged by one look at the mount tables; whoever then ends a
   * hold looks again.
   */
  suspects(): readonly VolumeRecord[] {
    const { now, staleAfterMs } = this.#options;
    const due = this.#set
      .ready()
      .filter(
        ({ holds }) =>
          holds.some((hold) => hold.process !== undefined) ||
          dropStale(holds, now(), staleAfterMs).length < holds.length,
      );
    if (due.length === 0) return [];
    const namespaces = readMountNamespaces();
    return due.filter(
      (record) =>
        record.holds.some((hold) => hold.process !== undefined) ||
        this.#attachments.users(record, namespaces).length === 0,
    );
  }
}
