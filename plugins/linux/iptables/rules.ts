/**
 * Rules by the iptables commands, for the host's own chains and for hosts without nftables. Every call waits for the lock
 * that all iptables commands share (-w) and takes 4 ms and more, since each is a process.
 */
import { CommandError, runCommand } from '../command.ts';
import type { Netns } from '../netns.ts';

export interface IptablesTarget {
  /** `iptables`, `ip6tables`, `iptables-legacy` …, as `inspectIptables` found it. */
  readonly command: string;
  readonly netns?: Netns;
}

export interface IptablesRule {
  /** Default filter. */
  readonly table?: string;
  readonly chain: string;
  /** What iptables(8) reads behind the chain: `['-i', 'cl-+', '-j', 'ACCEPT']`. */
  readonly match: readonly string[];
}

const lockSeconds = 2;
const timeoutMs = 3500;

/** Puts the rule in front of the chain unless it is there; whether it had to. */
export async function ensureIptablesRule(target: IptablesTarget, rule: IptablesRule): Promise<boolean> {
  if (await hasIptablesRule(target, rule)) return false;
  await iptables(target, rule, '-I');
  return true;
}

/** Takes every copy of the rule away; how many there were. Success when the chain is gone too. */
export async function removeIptablesRule(target: IptablesTarget, rule: IptablesRule): Promise<number> {
  let count = 0;
  while (await succeeds(iptables(target, rule, '-D'))) count++;
  return count;
}

export function hasIptablesRule(target: IptablesTarget, rule: IptablesRule): Promise<boolean> {
  return succeeds(iptables(target, rule, '-C'));
}

/** Lines as `iptables -S` prints them: `-P FORWARD DROP`, `-N DOCKER-USER`, `-A FORWARD …`. */
export async function listIptablesRules(target: IptablesTarget, table = 'filter', chain?: string): Promise<string[]> {
  const args = ['-w', String(lockSeconds), '-t', table, '-S', ...(chain ? [chain] : [])];
  const { stdout } = await runCommand(target.command, args, {
    timeoutMs,
    ...(target.netns && { netns: target.netns }),
  });
  return stdout.split('\n').filter(Boolean);
}

/** Applies the text of iptables-save(8) to what is there, each table at once: all of its lines or none. */
export async function restoreIptables(target: IptablesTarget, text: string): Promise<void> {
  await runCommand(`${target.command}-restore`, ['-w', String(lockSeconds), '--noflush'], {
    timeoutMs,
    input: text,
    ...(target.netns && { netns: target.netns }),
  });
}

async function iptables(
  target: IptablesTarget,
  { table = 'filter', chain, match }: IptablesRule,
  action: string,
): Promise<void> {
  await runCommand(target.command, ['-w', String(lockSeconds), '-t', table, action, chain, ...match], {
    timeoutMs,
    ...(target.netns && { netns: target.netns }),
  });
}

/** false when the command says no (exit codes 1 and 2: no such rule, chain or target); other failures are thrown. */
async function succeeds(command: Promise<void>): Promise<boolean> {
  try {
    await command;
    return true;
  } catch (error) {
    if (error instanceof CommandError && error.reason === 'exit' && (error.exitCode === 1 || error.exitCode === 2))
      return false;
    throw error;
  }
}
