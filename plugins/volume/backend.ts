/**
 * What the three drivers differ in: where the data is and how it becomes visible. Everything else (names, records, holds,
 * queues, health) is volume-driver.ts. Every method may be called again after it was cut short by a crash.
 */
import type { MountEntry } from '../linux/mountinfo.ts';
import type { CommonConfig } from './common-options.ts';
import type { Details } from './records.ts';
import type { VolumeName } from './volume-name.ts';

export type DriverName = 'cleat-local' | 'cleat-nfs' | 'cleat-tmpfs';

/** A volume as its backend sees it. */
export interface BackendVolume<C> {
  readonly name: VolumeName;
  readonly config: C;
  readonly details: Details;
}

/** Time that is left for a piece of work. */
export interface Budget {
  /** Milliseconds from now, never negative. */
  left(): number;
  readonly signal: AbortSignal;
}

/** Bytes and inodes; a limit is absent where there is none. */
export interface Usage {
  readonly usedBytes?: number;
  readonly usedInodes?: number;
  readonly limitBytes?: number;
  readonly limitInodes?: number;
}

export interface Trouble {
  readonly message: string;
  /** What is attached is of no use any more, and a new attach would be better off: the handle is stale, or the server has moved. */
  readonly lost: boolean;
}

export interface Attached {
  readonly path: string;
  /** Worth saying in Status although the mount succeeded. */
  readonly note?: string;
  /** Takes the place of the recorded details. */
  readonly details?: Details;
}

export interface Backend<C extends CommonConfig> {
  readonly driver: DriverName;
  /** Checks the options without touching anything; throws PluginError. */
  parse(options: Readonly<Record<string, string>>): C;
  /** Whether `create` is one step: cut short, it has left nothing, or an empty folder. */
  isMadeAtOnce(config: C): boolean;
  /** Makes what holds the data, where that is ours to make. */
  create(volume: BackendVolume<C>, budget: Budget): Promise<Details>;
  /** Makes the data visible, unless it is already. */
  attach(volume: BackendVolume<C>, budget: Budget): Promise<Attached>;
  /** Undoes attach; success when nothing is attached. A note tells of a last resort that was needed. */
  detach(volume: BackendVolume<C>, budget: Budget): Promise<string | undefined>;
  /** Where the data is visible now, by this mount table. */
  attachedPath(volume: BackendVolume<C>, mounts: readonly MountEntry[]): string | undefined;
  /** Whether what is attached is a file system of the volume's own, which must not be attached a second time elsewhere. */
  ownsFileSystem(config: C): boolean;
  /** Whether the data is deleted with the volume. */
  ownsData(config: C): boolean;
  /** Puts the data out of the way; what is not ours (a device, a server's folder) stays. Called while nothing is attached. */
  discard(volume: BackendVolume<C>): Promise<void>;
  /** What is known at once, without a process and without a server; undefined when that takes more. */
  usageNow(volume: BackendVolume<C>, attachedPath: string | undefined): Usage | undefined;
  /** Never called for an answer: it may be slow, though it is bounded. */
  usage(volume: BackendVolume<C>, budget: Budget): Promise<Usage>;
  /** Throws when the volume cannot get these options in place; nothing has been touched then. */
  checkUpdate(volume: BackendVolume<C>, from: C): void;
  /** Brings a volume that is not attached from its old options to new ones. */
  update(volume: BackendVolume<C>, from: C, budget: Budget): Promise<Details>;
  /** How long the data has to stay attached after the last holder; only a volume that lives in memory says more than 0. */
  keepMs?(config: C): number;
  /** Asks the server behind an attached volume; says what is wrong with it. Absent where there is no server. */
  probe?(volume: BackendVolume<C>, budget: Budget): Promise<Trouble | undefined>;
  /** Called once at the start, when all volumes have been looked for in this mount table: takes away what none of them has. */
  settle?(mounts: readonly MountEntry[]): void;
  /** More for Status. */
  describe?(volume: BackendVolume<C>): Readonly<Record<string, unknown>>;
}
