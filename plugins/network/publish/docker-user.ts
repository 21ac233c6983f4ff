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
import { admitMark } from './table.ts';

const chain = 'DOCKER-USER';
const mark = `0x${admitMark.toString(16)}`;
const comment = 'cleat';
/** As iptables(8) reads it. */
const match = ['-m', 'mark', '--mark', `${mark}/${mark}`, '-m', 'comment', '--comment', comment, '-j', 'ACCEPT'];

export interface AcceptRuleLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Puts the rule where it is missing. Answers the families in which it had to. */
export async function ensureAcceptRules(log: AcceptRuleLog): Promise<(4 | 6)[]> {
  const added: (4 | 6)[] = [];
  for (const family of [4, 6] as const) {
    const view = await inspectIptables(family);
    const target = targetOf(view);
    if (target && (await ensureRule(target))) {
      added.push(family);
      log.info({ command: target.command, chain }, 'one accept rule for our traffic was put into DOCKER-USER');
    } else if (!view.hasDockerUser && view.forwardPolicy === 'drop') {
      log.warn(
        { family, command: view.command },
        'this host drops forwarded packets (policy of FORWARD) and has no chain DOCKER-USER: published ports and outgoing connections need a rule of yours',
      );
    }
  }
  return added;
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
