/** `cleat volume prune`: engines prune volumes of their built-in driver only. */
import { createInterface } from 'node:readline/promises';
import type { VolumeSummary } from '../../volume/control.ts';
import { isAnonymousName } from '../../volume/volume-name.ts';
import type { Command } from '../command.ts';
import { findEngineSocket, volumesOfContainers } from '../engine.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import type { GlobalOptions } from '../global-options.ts';
import { print } from '../table.ts';
import { listVolumes, removeVolume, volumeDetails } from './daemon.ts';

interface PruneOptions extends GlobalOptions {
  readonly all: boolean;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly label: readonly string[];
  readonly engine?: string;
}

export const pruneCommand: Command<PruneOptions> = {
  command: 'prune',
  describe: 'Remove volumes that nobody holds and no container of the engine refers to',
  build: (yargs) =>
    yargs
      .option('all', {
        alias: 'a',
        type: 'boolean',
        default: false,
        describe: 'Named ones too, not only anonymous ones',
      })
      .option('label', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'Only those with this label, KEY or KEY=VALUE',
      })
      .option('force', { alias: 'f', type: 'boolean', default: false, describe: 'Do not ask' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Show what would go' })
      .option('engine', {
        type: 'string',
        describe: 'Socket of the engine to ask (default: the usual ones; "none" asks no engine)',
      })
      .example('$0 volume prune --dry-run --all', 'what nobody uses')
      .example('$0 volume prune --force', 'anonymous volumes that were left behind'),
  run: async (args) => {
    // A stopped container holds nothing, and still wants its data: only its engine knows.
    const referred =
      args.engine === 'none' ? new Set<string>() : await volumesOfContainers(findEngineSocket(args.engine));
    const idle = (await listVolumes(args.runDir)).filter(
      (volume) =>
        volume.holders === 0 &&
        !referred.has(volume.name) &&
        (args.all || isAnonymousName(volume.name)) &&
        hasLabels(volume, args.label),
    );
    const unused: VolumeSummary[] = [];
    for (const volume of idle) {
      if ((await volumeDetails(args.runDir, volume)).users.length === 0) unused.push(volume);
    }
    const show = (): void =>
      print(
        args,
        unused,
        ['DRIVER', 'NAME', 'CREATED'],
        unused.map(({ driver, name, createdAt }) => [driver, name, createdAt]),
      );
    if (args.dryRun || unused.length === 0) return show();
    if (!args.force) await confirm(unused);
    for (const volume of unused) await removeVolume(args.runDir, volume);
    show();
  },
};

function hasLabels({ labels }: VolumeSummary, wanted: readonly string[]): boolean {
  return wanted.every((text) => {
    const split = text.indexOf('=');
    return split < 0 ? labels[text] !== undefined : labels[text.slice(0, split)] === text.slice(split + 1);
  });
}

async function confirm(volumes: readonly VolumeSummary[]): Promise<void> {
  if (!process.stdin.isTTY) throw new CommandFailure('nobody is there to ask; give --force', exitCodes.usage);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const names = volumes.map(({ name }) => name).join(', ');
  const answer = await terminal.question(`Delete the data of ${volumes.length} volumes (${names})? [y/N] `);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure('nothing was removed');
}
