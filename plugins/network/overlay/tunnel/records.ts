/** The tunnel's keys on disk, in the store's file, which only root reads. */
import { generateKeys } from '../../../linux/wireguard/keys.ts';
import type { Store } from '../../../store/store.ts';
import { type Slot, slotOf } from './rotation.ts';

export interface TunnelKey {
  readonly slot: Slot;
  readonly privateKey: string;
  readonly publicKey: string;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
}

export interface TunnelRecord {
  readonly epoch: number;
  readonly keys: readonly TunnelKey[];
}

export class TunnelRecords {
  readonly #table;

  constructor(store: Store) {
    this.#table = store.table<TunnelRecord>('overlay.tunnel', { version: 1 });
  }

  find(): TunnelRecord | undefined {
    return this.#table.get('self');
  }

  /** What there is, brought to the epoch: with a key in its slot. Written before it is returned. */
  inEpoch(epoch: number, now: number): TunnelRecord {
    const before = this.find();
    const slot = slotOf(epoch);
    const keys = before?.keys ?? [];
    const key = keys.some((one) => one.slot === slot) ? [] : [{ slot, ...generateKeys(), madeAt: now }];
    if (before?.epoch === epoch && key.length === 0) return before;
    const record = { epoch, keys: [...keys, ...key] };
    this.#table.put('self', record);
    return record;
  }

  drop(slots: readonly Slot[]): TunnelRecord | undefined {
    const before = this.find();
    if (!before) return undefined;
    const record = { ...before, keys: before.keys.filter(({ slot }) => !slots.includes(slot)) };
    this.#table.put('self', record);
    return record;
  }

  clear(): void {
    this.#table.clear();
  }
}
