/**
 * Sees to it that the rules stay: whoever flushes or edits them, or removes our rule from DOCKER-USER, has it
 * back within a second, with a line in the log that names the process.
 *
 * The kernel announces changes of nf_tables, also those that iptables over nf_tables makes. The older iptables announces
 * nothing, so where it is in use its chain is looked at every 700 ms.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isKernelError } from '../../linux/errors.ts';
import { monitorTable } from '../../linux/nftables/monitor.ts';
import { type AcceptRuleLog, AcceptRules } from './docker-user.ts';
import type { Firewall } from './firewall.ts';

const legacyIntervalMs = 700;
/** Rests between two repairs, so that a quarrel with another program cannot take the processor. */
const restMs = 150;

export class FirewallWatch {
  readonly #firewall: Firewall;
  readonly #log: AcceptRuleLog;
  readonly #acceptRules: AcceptRules;
  readonly #monitors: { close(): void }[];
  readonly #legacyTimer: NodeJS.Timeout;
  #repairTimer: NodeJS.Timeout | undefined;
  #acceptTimer: NodeJS.Timeout | undefined;
  #accepting: Promise<void> | undefined;
  /** At the rule in DOCKER-USER, under way or waiting. */
  #looks = 0;
  #closed = false;

  constructor(firewall: Firewall, log: AcceptRuleLog) {
    this.#firewall = firewall;
    this.#log = log;
    this.#acceptRules = new AcceptRules(log);
    this.#monitors = [
      firewall.writer.watch((found) => this.#repairSoon(found)),
      ...monitorFilter(() => this.checkAcceptRules()),
    ];
    this.#legacyTimer = setInterval(() => {
      if (this.#looks > 0 || this.#firewall.networkCount === 0 || !legacyFilterInUse()) return;
      this.#accept(() => this.#acceptRules.ensureKnown());
    }, legacyIntervalMs);
    this.#legacyTimer.unref();
  }

  /** Looks after the rule in DOCKER-USER in a moment: it is there exactly while there are networks of ours. */
  checkAcceptRules(): void {
    if (this.#closed || this.#acceptTimer) return;
    this.#acceptTimer = setTimeout(() => {
      this.#acceptTimer = undefined;
      this.#accept(() => (this.#firewall.networkCount > 0 ? this.#acceptRules.ensure() : this.#acceptRules.remove()));
    }, restMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#legacyTimer);
    clearTimeout(this.#repairTimer);
    clearTimeout(this.#acceptTimer);
    for (const monitor of this.#monitors) monitor.close();
    await this.#accepting;
  }

  #accept(look: () => Promise<void>): void {
    this.#looks += 1;
    this.#accepting = (this.#accepting ?? Promise.resolve())
      .then(() => (this.#closed ? undefined : look()))
      .catch((error: unknown) => this.#log.warn({ err: error }, 'the rule in DOCKER-USER could not be looked after'))
      .finally(() => {
        this.#looks -= 1;
      });
  }

  get #ours(): string {
    const { kind, name } = this.#firewall.writer.place;
    return `the ${kind} ${name}`;
  }

  #repairSoon(found: object): void {
    if (this.#repairTimer || this.#closed) return;
    // At once for the first change; what follows in the same breath is repaired together.
    this.#repairTimer = setTimeout(() => {
      this.#repairTimer = undefined;
      try {
        this.#firewall.rewrite();
        this.#log.warn(found, `somebody changed ${this.#ours}; it was written again`);
      } catch (error) {
        this.#log.warn({ ...found, err: error }, `somebody changed ${this.#ours}, and it could not be written again`);
      }
    }, restMs);
  }
}

/** Changes of iptables over nf_tables; none where the kernel has no netfilter netlink at all. */
function monitorFilter(onChange: () => void): { close(): void }[] {
  try {
    return [monitorTable({ table: 'filter', onTransaction: onChange, onLost: onChange })];
  } catch (error) {
    if (isKernelError(error, 'EPROTONOSUPPORT')) return [];
    throw error;
  }
}

function legacyFilterInUse(): boolean {
  return ['ip', 'ip6'].some((family) => {
    const path = `/proc/thread-self/net/${family}_tables_names`;
    return existsSync(path) && readFileSync(path, 'utf8').split('\n').includes('filter');
  });
}
