/** Writes the rules as the nftables table `inet cleat`: every change is one transaction, so packets never see half of one. */
import { readFileSync } from 'node:fs';
import { monitorTable, type TableTransaction } from '../../linux/nftables/monitor.ts';
import type { RuleChange, RuleWriter, WantedRules } from './rules.ts';
import { changeText, removeTableText, tableName, wholeTableText } from './table.ts';

/** Runs nftables commands as one transaction; throws when the kernel refuses any of them, and then nothing has changed. */
export interface PacketFilter {
  run(commands: string): void;
  close(): void;
}

export class NftWriter implements RuleWriter {
  readonly name = 'nftables';
  readonly place = { kind: 'table', name: `inet ${tableName}` };
  readonly takesSections = true;
  readonly #filter: PacketFilter;
  /** Transactions of ours that the kernel has yet to announce. */
  #expected = 0;
  /** Our process as the kernel names it, which differs from `process.pid` in a process namespace. */
  #ownPid: number | undefined;

  constructor(filter: PacketFilter) {
    this.#filter = filter;
  }

  write(wanted: WantedRules): void {
    this.#run(wholeTableText(wanted));
  }

  apply(change: RuleChange): void {
    const commands = changeText(change);
    if (commands !== '') this.#run(commands);
  }

  remove(): void {
    this.#run(removeTableText());
  }

  watch(onForeignChange: (found: object) => void): { close(): void } {
    return monitorTable({
      table: tableName,
      onTransaction: (transaction) => {
        if (this.#isOwn(transaction)) return;
        const { events, pid, process: by } = transaction;
        onForeignChange({ by, pid, events: [...events] });
      },
      onLost: () => onForeignChange({ reason: 'announcements of the kernel were lost' }),
    });
  }

  close(): void {
    this.#filter.close();
  }

  #run(commands: string): void {
    this.#filter.run(commands);
    this.#expected += 1;
  }

  #isOwn({ pid, process: name }: TableTransaction): boolean {
    if (this.#expected > 0 && this.#ownPid === undefined && name === ownName()) this.#ownPid = pid;
    if (pid !== this.#ownPid) return false;
    this.#expected = Math.max(0, this.#expected - 1);
    return true;
  }
}

/** The main thread's name, which the kernel puts beside the process number. */
function ownName(): string {
  return readFileSync('/proc/thread-self/comm', 'utf8').trim();
}
