/**
 * Which iptables the host's rules live in. The same command exists over two back ends (nf_tables, and the older ip_tables),
 * a host may have both commands and use either, and looking with the wrong one would create its empty tables: so this looks
 * at the kernel and starts nothing that could change it.
 */
import { readFileSync } from 'node:fs';
import { CommandError, runCommand } from '../command.ts';
import { inNetns, type Netns } from '../netns.ts';
import { hasLibrary, Nftables } from '../nftables/context.ts';
import { NftError } from '../nftables/error.ts';
import { type IptablesTarget, listIptablesRules } from './rules.ts';

export interface IptablesView {
  /** The back end that holds a filter table now; undefined when neither does. */
  readonly backend: 'nft' | 'legacy' | undefined;
  /** The command for that back end, else the host's default; undefined when none is installed. */
  readonly command: string | undefined;
  /** Docker's chain for rules that come before its own. */
  readonly hasDockerUser: boolean;
  /** undefined without a FORWARD chain, which lets everything through. */
  readonly forwardPolicy: 'accept' | 'drop' | undefined;
}

const timeoutMs = 2000;

export async function inspectIptables(family: 4 | 6, netns?: Netns): Promise<IptablesView> {
  const base = family === 4 ? 'iptables' : 'ip6tables';
  const nft = hasLibrary() ? inspectNft(family, netns) : await inspectNftByCommand(base, netns);
  const legacyLoaded = legacyTables(family, netns).includes('filter');
  const legacyCommand = legacyLoaded ? await findCommand(base, 'legacy') : undefined;
  const legacy = legacyCommand ? await inspectCommand({ command: legacyCommand, ...(netns && { netns }) }) : undefined;
  // Docker's chain decides where both have tables: its rules are the ones to get along with.
  if (legacy && (legacy.hasDockerUser || !nft)) return { backend: 'legacy', command: legacyCommand, ...legacy };
  if (nft) return { backend: 'nft', command: await findCommand(base, 'nft'), ...nft };
  return { backend: undefined, command: await findCommand(base), hasDockerUser: false, forwardPolicy: undefined };
}

type Chains = Pick<IptablesView, 'hasDockerUser' | 'forwardPolicy'>;

function inspectNft(family: 4 | 6, netns: Netns | undefined): Chains | undefined {
  try {
    using nft = new Nftables(netns);
    const chains = nft
      .list('list chains')
      .map((object) => object['chain'])
      .filter((chain) => chain?.['family'] === (family === 4 ? 'ip' : 'ip6') && chain['table'] === 'filter');
    if (chains.length === 0) return undefined;
    const policy = chains.find((chain) => chain?.['name'] === 'FORWARD')?.['policy'];
    return {
      hasDockerUser: chains.some((chain) => chain?.['name'] === 'DOCKER-USER'),
      forwardPolicy: policy === 'accept' || policy === 'drop' ? policy : undefined,
    };
  } catch (error) {
    // The kernel has no nf_tables.
    if (error instanceof NftError) return undefined;
    throw error;
  }
}

/** Without the library the host's own command tells, if this is its back end; it may make its empty tables. */
async function inspectNftByCommand(base: string, netns: Netns | undefined): Promise<Chains | undefined> {
  const command = await findCommand(base, 'nft');
  if (command !== base) return undefined;
  try {
    return await inspectCommand({ command, ...(netns && { netns }) });
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

async function inspectCommand(target: IptablesTarget): Promise<Chains> {
  const rules = await listIptablesRules(target, 'filter');
  const policy = rules.find((rule) => rule.startsWith('-P FORWARD '))?.split(' ')[2];
  return {
    hasDockerUser: rules.includes('-N DOCKER-USER'),
    forwardPolicy: policy === 'DROP' ? 'drop' : policy === 'ACCEPT' ? 'accept' : undefined,
  };
}

/** Tables that ip_tables has in the namespace; reading the list creates none. */
function legacyTables(family: 4 | 6, netns: Netns | undefined): string[] {
  const path = `/proc/thread-self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`;
  const read = (): string => readFileSync(path, 'utf8');
  try {
    return (netns ? inNetns(netns, read) : read()).split('\n');
  } catch {
    return [];
  }
}

/** The plain command when it has the back end, else the one named after it. */
async function findCommand(base: string, backend?: 'nft' | 'legacy'): Promise<string | undefined> {
  const mark = backend === 'legacy' ? 'legacy' : 'nf_tables';
  for (const name of [base, ...(backend ? [`${base}-${backend}`] : [])]) {
    try {
      const { stdout } = await runCommand(name, ['--version'], { timeoutMs });
      // Before 1.8 there was only the older back end, and no word of it.
      const words = stdout.includes('(') ? stdout : `${stdout} (legacy)`;
      if (!backend || words.includes(mark)) return name;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
    }
  }
  return undefined;
}
