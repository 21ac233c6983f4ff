/** `cleat purge`: take everything of ours off this host, after showing it. */
import { createInterface } from 'node:readline/promises';
import type { Command } from './command.ts';
import { callControl, type DaemonName, runningDaemons } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { print } from './table.ts';

interface PurgeOptions extends GlobalOptions {
  readonly yes: boolean;
  readonly dryRun: boolean;
}

/** What a daemon answers to GET and POST /purge. */
interface PurgeItem {
  /** link, table, rule, mount, record … */
  readonly kind: string;
  readonly name: string;
  /** Why it stays, when it stays: a container still uses it. */
  readonly kept?: string;
}

export const purgeCommand: Command<PurgeOptions> = {
  command: 'purge',
  describe: 'Remove every link, rule and record of ours that no container uses',
  build: (yargs) =>
    yargs
      .option('yes', { alias: 'y', type: 'boolean', default: false, describe: 'Do not ask' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Show what would go' })
      .example('$0 purge --dry-run', 'what is of ours on this host')
      .example('$0 purge --yes', 'remove it'),
  run: async (args) => {
    const daemons = (await runningDaemons(args.runDir)).filter((name) => name !== 'logd');
    if (daemons.length === 0) {
      throw new CommandFailure(
        `no daemon answers in ${args.runDir}; start cleat-networkd, which knows what is ours`,
        exitCodes.unavailable,
      );
    }
    const planned = await askEach(args.runDir, daemons, 'GET');
    if (args.dryRun || planned.every((item) => item.kept)) return show(args, planned);
    if (!args.yes) {
      show({ json: false }, planned);
      await confirm();
    }
    show(args, await askEach(args.runDir, daemons, 'POST'));
  },
};

async function askEach(runDir: string, daemons: readonly DaemonName[], method: 'GET' | 'POST'): Promise<PurgeItem[]> {
  const lists = await Promise.all(daemons.map((daemon) => callControl<PurgeItem[]>(runDir, daemon, method, '/purge')));
  return lists.flat();
}

function show(options: { readonly json: boolean }, items: readonly PurgeItem[]): void {
  print(
    options,
    items,
    ['KIND', 'NAME', 'KEPT BECAUSE'],
    items.map((item) => [item.kind, item.name, item.kept ?? '']),
  );
}

async function confirm(): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CommandFailure('purge asks before it removes: answer with --yes', exitCodes.usage);
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question('Remove all of this? [y/N] ');
  prompt.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure('nothing was removed');
}
