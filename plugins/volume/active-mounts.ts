/**
 * Who holds a volume, by the caller's mount IDs. Pure: a list of holds in, a new list out; the caller writes it down before
 * it answers.
 *
 * An ID names one mount point of one container while that is active, but it is not unique per call, so a set of IDs is wrong
 * and so is a plain count:
 *
 * - `docker cp` into a running container sends Mount(X), Unmount(X) while the container still holds X: count per ID.
 * - An engine that was killed sends no Unmount, and its next start of the container is Mount(X) again: an engine's
 *   activation marks every hold `old`, and a Mount of an old ID adopts it, which keeps the count at one.
 * - 20.10 with live-restore sends Mount(X), Unmount(X) for a `docker cp` after its restart and no Unmount at the end: an
 *   adopted hold stays `adopted`, and its release is believed only when no mount namespace uses the volume any more.
 * - Podman has one ID for all containers and counts them itself: that ID is held once or not at all.
 */

export interface Hold {
  readonly id: string;
  /** At least 1. */
  readonly count: number;
  /** ISO 8601. */
  readonly since: string;
  /** Since when it is not known whether anybody will ever release it: an engine or this daemon has restarted. ISO 8601. */
  readonly old?: string;
  /** It was old once: its count is a guess. */
  readonly adopted?: true;
  /** Process that holds it and its start time in clock ticks, for holds that a command of ours takes. */
  readonly process?: { readonly pid: number; readonly startTicks: string };
}

/** Podman's `pluginMountID`, the same in every installation (podman `libpod/volume_internal_linux.go`). */
export const podmanMountId = '2f73349cfc4630255319c6c8dfc1b46a8996ace9d14d8e07563b165915918ec2';

export function holdVolume(holds: readonly Hold[], id: string, now: Date, process?: Hold['process']): readonly Hold[] {
  const held = holds.find((hold) => hold.id === id);
  if (held === undefined) {
    return [...holds, { id, count: 1, since: now.toISOString(), ...(process === undefined ? {} : { process }) }];
  }
  return holds.map((hold) => (hold === held ? heldAgain(hold) : hold));
}

function heldAgain({ old, ...hold }: Hold): Hold {
  if (old) return { ...hold, count: 1, adopted: true };
  return hold.id === podmanMountId ? hold : { ...hold, count: hold.count + 1 };
}

/**
 * One release. `inUse` says whether a mount namespace other than ours uses the volume: the last release of a volume that
 * is in use is not believed, and leaves an old hold which `dropStale` ends later.
 */
export function releaseVolume(holds: readonly Hold[], id: string, inUse: boolean, now: Date): readonly Hold[] {
  const held = holds.find((hold) => hold.id === id);
  if (held === undefined) return holds;
  if (held.count > 1 && held.old === undefined)
    return holds.map((hold) => (hold === held ? { ...hold, count: hold.count - 1 } : hold));
  const others = holds.filter((hold) => hold !== held);
  return others.length === 0 && inUse ? [{ ...held, count: 1, old: now.toISOString() }] : others;
}

/** After a restart of an engine or of this daemon. */
export function markOld(holds: readonly Hold[], now: Date): readonly Hold[] {
  return holds.map((hold) => (hold.process === undefined ? { ...hold, old: hold.old ?? now.toISOString() } : hold));
}

/**
 * Drops the holds that nobody stands behind: called when no mount namespace but ours uses the volume. An old hold is given
 * `graceMs`, in which an engine may still be starting the container, or copying the image's files into the volume.
 */
export function dropStale(holds: readonly Hold[], now: Date, graceMs: number): readonly Hold[] {
  return holds.filter((hold) => hold.old === undefined || now.getTime() - Date.parse(hold.old) < graceMs);
}

/** Drops the holds of processes that have ended. */
export function dropEnded(
  holds: readonly Hold[],
  lives: (process: NonNullable<Hold['process']>) => boolean,
): readonly Hold[] {
  return holds.filter((hold) => hold.process === undefined || lives(hold.process));
}
