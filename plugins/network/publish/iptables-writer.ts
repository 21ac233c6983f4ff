/**
 * Writes the rules by iptables-restore, for hosts without nftables. Every change writes all of ours again: each table of each family
 * is one transaction, and the kernel has no finer one. Synchronous, as all changes are: 5 ms and more for a family.
 *
 * The kernel announces no changes of these tables, so they are compared with what was written every 700 ms.
 */
import { runCommand } from '../../linux/command.ts';
import { runCommandSync } from '../../linux/command-sync.ts';
import { type Present, readPresent, removeText, restoreText } from './iptables-text.ts';
import type { Family, NetworkRules, RuleChange, RuleWriter, WantedRules } from './rules.ts';
import { poolsOf } from './rules.ts';

const lookMs = 700;
const timeoutMs = 3000;
const lockSeconds = '2';

export interface IptablesCommands {
  /** `iptables`, `iptables-legacy` … */
  readonly ipv4: string;
  /** Absent: this host has no tables for IPv6. */
  readonly ipv6?: string;
  /** For people. */
  readonly version: string;
}

interface Log {
  warn(fields: object, message: string): void;
}

interface FamilyState {
  readonly family: Family;
  readonly command: string;
  /** Of what was there right after our last write; undefined before the first. */
  fingerprint: string | undefined;
  /** Counts writes, so that a look that began before one is not believed. */
  writes: number;
}

export class IptablesWriter implements RuleWriter {
  readonly name: string;
  readonly place = { kind: 'chains', name: 'CLEAT-… (iptables)' };
  readonly takesSections = false;
  readonly #families: readonly FamilyState[];
  readonly #log: Log;

  constructor({ ipv4, ipv6, version }: IptablesCommands, log: Log) {
    this.name = `iptables ${version}`;
    this.#log = log;
    const state = (family: Family, command: string) => ({ family, command, fingerprint: undefined, writes: 0 });
    this.#families = [state(4, ipv4), ...(ipv6 === undefined ? [] : [state(6, ipv6)])];
    if (ipv6 === undefined) log.warn({}, 'this host has no ip6tables: networks with IPv6 are refused');
  }

  write(wanted: WantedRules): void {
    if (this.#families.length === 1) refuseIpv6(wanted.networks);
    for (const state of this.#families) {
      restore(state, restoreText(state.family, wanted, present(state)));
    }
  }

  apply(_change: RuleChange, wanted: WantedRules): void {
    this.write(wanted);
  }

  remove(): void {
    for (const state of this.#families) {
      const commands = removeText(present(state));
      if (commands !== '') restore(state, commands);
      state.fingerprint = undefined;
    }
  }

  watch(onForeignChange: (found: object) => void): { close(): void } {
    let looking = false;
    const timer = setInterval(() => {
      if (looking) return;
      looking = true;
      this.#look(onForeignChange)
        .catch((error: unknown) => this.#log.warn({ err: error }, 'our chains of iptables could not be looked at'))
        .finally(() => {
          looking = false;
        });
    }, lookMs);
    timer.unref();
    return { close: () => clearInterval(timer) };
  }

  close(): void {}

  async #look(onForeignChange: (found: object) => void): Promise<void> {
    for (const state of this.#families) {
      const { writes, fingerprint, command } = state;
      if (fingerprint === undefined) continue;
      const { stdout } = await runCommand(`${command}-save`, [], { timeoutMs });
      if (state.writes === writes && readPresent(stdout).fingerprint !== fingerprint) onForeignChange({ command });
    }
  }
}

function present({ command }: FamilyState): Present {
  return readPresent(runCommandSync(`${command}-save`, [], { timeoutMs }).stdout);
}

function restore(state: FamilyState, input: string): void {
  state.writes += 1;
  runCommandSync(`${state.command}-restore`, ['-w', lockSeconds, '--noflush'], { timeoutMs, input });
  // As the kernel shows it: it names some things otherwise than we do.
  state.fingerprint = present(state).fingerprint;
}

/** Without rules for it, every port of such a network could be reached. */
function refuseIpv6(networks: readonly NetworkRules[]): void {
  if (networks.some((network) => poolsOf(network, 6).length > 0)) throw new Error('this host has no ip6tables');
}
