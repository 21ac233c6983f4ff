/** Which packet filter this host can use: nftables where all of it is there, else iptables, else none. Tried, not guessed. */
import { CommandError, runCommand } from './command.ts';
import { inspectIptables } from './iptables/detect.ts';
import { nftablesProblem } from './nftables/context.ts';

export type RuleBackend =
  | { readonly kind: 'nftables' }
  | {
      readonly kind: 'iptables';
      /** `iptables`, `iptables-legacy` …; `-save` and `-restore` of the same name are there too. */
      readonly ipv4: string;
      /** Absent: there are no tables for IPv6. */
      readonly ipv6?: string;
      /** `v1.8.9 (legacy)`, as the command says. */
      readonly version: string;
      /** Why not nftables. */
      readonly reason: string;
    }
  | { readonly kind: 'none'; readonly reason: string };

const timeoutMs = 3000;
const tables = ['raw', 'mangle', 'nat', 'filter'];

/** `wanted`: one of them is insisted on; `auto` takes nftables before iptables. */
export async function findRuleBackend(wanted: 'auto' | 'nftables' | 'iptables' = 'auto'): Promise<RuleBackend> {
  const problem = wanted === 'iptables' ? 'the configuration says iptables' : nftablesProblem();
  if (problem === undefined) return { kind: 'nftables' };
  if (wanted === 'nftables') return { kind: 'none', reason: problem };
  const [ipv4, ipv6] = await Promise.all([usable(4), usable(6)]);
  if (ipv4 === undefined) {
    return { kind: 'none', reason: `${problem}; and iptables is not installed or lacks one of ${tables.join(', ')}` };
  }
  const { stdout } = await runCommand(ipv4, ['--version'], { timeoutMs });
  return {
    kind: 'iptables',
    ipv4,
    ...(ipv6 && { ipv6 }),
    version: stdout.trim().replace(/^\S+ /, ''),
    reason: problem,
  };
}

/** The command of the back end that the host's own rules are in, when every table answers. */
async function usable(family: 4 | 6): Promise<string | undefined> {
  const { command } = await inspectIptables(family);
  if (command === undefined) return undefined;
  try {
    for (const table of tables) await runCommand(command, ['-w', '2', '-t', table, '-S'], { timeoutMs });
    for (const tool of ['save', 'restore']) await runCommand(`${command}-${tool}`, ['--version'], { timeoutMs });
    return command;
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}
