/**
 * How keys change without a packet lost. A host has one tunnel, and during a change two, in two slots: each a WireGuard device
 * with a key of its own. All hosts count the changes in one number, the epoch, whose parity names the slot in use:
 *
 *     1  somebody's key is old enough: it counts the epoch up and makes a key in the other slot
 *     2  whoever hears a greater epoch than its own takes it and does the same
 *     3  each host sends to a peer by the new slot as soon as it has shaken hands with it there; it hears in both
 *     4  a host that sends to everybody by the new slot says so: it is settled
 *     5  a host that is settled, and hears the same of all others, gives up its old key when nothing comes by it any more
 *
 * Pure.
 */

export type Slot = 0 | 1;

/** What a host tells of its tunnel. */
export interface SharedTunnel {
  readonly epoch: number;
  /** It sends to all hosts by the slot of this epoch. */
  readonly settled: boolean;
  readonly keys: readonly { readonly slot: Slot; readonly publicKey: string; readonly port: number }[];
}

export interface OwnTunnel {
  readonly epoch: number;
  readonly slots: readonly Slot[];
}

export interface RemoteTunnel {
  /** Address on the underlay. */
  readonly host: string;
  readonly tunnel: SharedTunnel;
}

/** Whether hands have been shaken with the host in that slot lately. */
export type Shaken = (host: string, slot: Slot) => boolean;

export function slotOf(epoch: number): Slot {
  return (epoch % 2) as Slot;
}

/** The epoch to be in, now that the others have spoken. */
export function nextEpoch(own: number, remotes: readonly RemoteTunnel[]): number {
  return Math.max(own, ...remotes.map(({ tunnel }) => tunnel.epoch));
}

/** By which slot to send to a host; undefined: no key of it fits one of ours. */
export function chooseSlot(own: OwnTunnel, remote: RemoteTunnel, shaken: Shaken): Slot | undefined {
  const common = own.slots.filter((slot) => remote.tunnel.keys.some((key) => key.slot === slot));
  const target = slotOf(own.epoch);
  const other = common.find((slot) => slot !== target);
  if (!common.includes(target)) return other;
  const stays = other !== undefined && shaken(remote.host, other) && !shaken(remote.host, target);
  return stays ? other : target;
}

export function isSettled(own: OwnTunnel, remotes: readonly RemoteTunnel[], shaken: Shaken): boolean {
  return remotes.every((remote) => chooseSlot(own, remote, shaken) === slotOf(own.epoch));
}

/** Slots whose key nobody needs any more. */
export function spentSlots(own: OwnTunnel & { readonly settled: boolean }, remotes: readonly RemoteTunnel[]): Slot[] {
  const done = own.settled && remotes.every(({ tunnel }) => tunnel.epoch === own.epoch && tunnel.settled);
  return done ? own.slots.filter((slot) => slot !== slotOf(own.epoch)) : [];
}
