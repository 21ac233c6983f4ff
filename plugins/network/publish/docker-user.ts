/**
 * One rule in Docker's chain DOCKER-USER, where that chain exists: accept what our own forward chain has admitted and marked.
 * Docker sets the policy of FORWARD to drop, and a packet that our table accepts is still dropped by another one; this rule is
 * the way that Docker leaves open for it. IPv4 and IPv6, over whichever iptables back end Docker uses.
 *
 * The rule goes behind the user's own rules in the chain, so that what they forbid stays forbidden.
 */
import { type IptablesView, inspectIptables } from '../../linux/iptables/detect.ts';
import {
  type IptablesTarget,
  listIptablesRules,
  removeIptablesRule,
  restoreIptables,
} from '../../linux/iptables/rules.ts';
import { admitMark } from './rules.ts';

const chain = 'DOCKER-USER';
const mark = `0x${admitMark.toString(16)}`;
const comment = 'cleat';
/** As iptables(8) reads it. */
const match = ['-m', 'mark', '--mark', `${mark}/${mark}`, '-m', 'comment', '--comment', comment, '-j', 'ACCEPT'];

export interface AcceptRuleLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Looks after the rule in both families. One look at a time: the caller waits for the last. */
export class AcceptRules {
  readonly #log: AcceptRuleLog;
  /** Where the chain was when the host was last looked at. */
  readonly #targets = new Map<4 | 6, IptablesTarget>();
  readonly #warned = new Set<4 | 6>();
  /** Until it is known that it does not: an earlier process may have put it. */
  #mayStand = true;

  constructor(log: AcceptRuleLog) {
    this.#log = log;
  }

  /** Looks where the chain is, and puts the rule where it is missing. */
  async ensure(): Promise<void> {
    this.#mayStand = true;
    for (const family of [4, 6] as const) {
      const view = await inspectIptables(family);
      const target = targetOf(view);
      if (target) {
        this.#targets.set(family, target);
        this.#warned.delete(family);
        await this.#put(target);
        continue;
      }
      this.#targets.delete(family);
      if (view.forwardPolicy === 'drop') this.#warn(family);
    }
  }

  /** Only where the chain was before, at a quarter of the cost: for looking again and again. */
  async ensureKnown(): Promise<void> {
    if (this.#targets.size === 0) return this.ensure();
    try {
      for (const target of this.#targets.values()) await this.#put(target);
    } catch {
      // The chain is not there any more, or not in this back end.
      await this.ensure();
    }
  }

  /** There is nothing left that it is for. */
  async remove(): Promise<void> {
    if (!this.#mayStand) return;
    if ((await removeAcceptRules()) > 0) this.#log.info({ chain }, 'our rule was taken out of DOCKER-USER');
    this.#mayStand = false;
  }

  async #put(target: IptablesTarget): Promise<void> {
    if (await ensureRule(target)) {
      this.#log.info({ command: target.command, chain }, 'one accept rule for our traffic was put into DOCKER-USER');
    }
  }

  #warn(family: 4 | 6): void {
    if (this.#warned.has(family)) return;
    this.#warned.add(family);
    this.#log.warn(
      { family, mark: `${mark}/${mark}` },
      'this host drops forwarded packets (policy of FORWARD) and has no chain DOCKER-USER: let packets with our mark through',
    );
  }
}

/** Takes the rule away. Answers how many there were. */
export async function removeAcceptRules(): Promise<number> {
  let count = 0;
  for (const family of [4, 6] as const) {
    const target = targetOf(await inspectIptables(family));
    if (target) count += await removeIptablesRule(target, { chain, match });
  }
  return count;
}

function targetOf({ command, hasDockerUser }: IptablesView): IptablesTarget | undefined {
  return hasDockerUser && command !== undefined ? { command } : undefined;
}

async function ensureRule(target: IptablesTarget): Promise<boolean> {
  const rules = (await listIptablesRules(target, 'filter', chain)).filter((line) => line.startsWith(`-A ${chain} `));
  const place = rulePlace(rules);
  if (place === undefined) return false;
  await restoreIptables(target, `*filter\n-I ${chain} ${place} ${match.join(' ')}\nCOMMIT\n`);
  return true;
}

/** Number of the place for the rule in the chain; undefined when it is there. Pure. */
export function rulePlace(rules: readonly string[]): number | undefined {
  const isOurs = (line: string) => line.includes(`--mark ${mark}/${mark}`) && line.endsWith('-j ACCEPT');
  if (rules.some(isOurs)) return undefined;
  // Engines before 28 end the chain with an unconditional return: behind it nothing is reached.
  const last = rules.at(-1) === `-A ${chain} -j RETURN` ? 1 : 0;
  return rules.length - last + 1;
}
