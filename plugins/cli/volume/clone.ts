/** `cleat volume clone`, `snapshot` and `update`. */
import { copyFolder } from '../../volume/archive/copy.ts';
import type { VolumeDetails } from '../../volume/control.ts';
import type { Command } from '../command.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { print } from '../table.ts';
import {
  findVolume,
  parseOptionPairs,
  putVolume,
  removeVolume,
  type VolumeOptions,
  volumeDetails,
  withVolume,
} from './daemon.ts';

interface CloneOptions extends VolumeOptions {
  readonly target: string;
  readonly opt: readonly string[];
}

interface SnapshotOptions extends VolumeOptions {
  readonly name?: string;
}

interface UpdateOptions extends VolumeOptions {
  readonly opt: readonly string[];
}

const optOption = {
  alias: 'o',
  type: 'string',
  array: true,
  default: [] as string[],
  describe: 'An option, KEY=VALUE, on top of those it has',
} as const;

export const cloneCommand: Command<CloneOptions> = {
  command: 'clone <volume> <target>',
  describe: 'Make a new volume with the same options and content; by reflink where the file system has it',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .positional('target', { type: 'string', demandOption: true, describe: 'Name of the new volume' })
      .option('opt', optOption)
      .example('$0 volume clone data data-test', '')
      .example('$0 volume clone small large -o size=10g', 'a larger one'),
  run: async (args) => {
    const source = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    const target = await copyVolume(args.runDir, source, args.target, {
      ...source.options,
      ...parseOptionPairs(args.opt),
    });
    print(args, target, ['DRIVER', 'NAME'], [[target.driver, target.name]]);
  },
};

export const snapshotCommand: Command<SnapshotOptions> = {
  command: 'snapshot <volume> [name]',
  describe: 'Make a read-only copy of a volume as it is now',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .positional('name', { type: 'string', describe: 'Name of the copy (default: the name with the time)' })
      .example('$0 volume snapshot data', ''),
  run: async (args) => {
    const source = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
    const options = { ...source.options, 'label.cleat.snapshot-of': source.name };
    const target = await copyVolume(args.runDir, source, args.name ?? `${source.name}-${time}`, options);
    // Read-only only now: the copy had to be written.
    await putVolume(args.runDir, target, { ...options, ro: 'true', 'on-change': 'update' });
    print(args, target, ['DRIVER', 'NAME'], [[target.driver, target.name]]);
  },
};

export const updateCommand: Command<UpdateOptions> = {
  command: 'update <volume>',
  describe: 'Change options of a volume that nobody holds, such as its size',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .option('opt', optOption)
      .example('$0 volume update data -o size=20g', 'engines do not pass changed options on, so it is done here'),
  run: async (args) => {
    const details = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    const options = { ...details.options, ...parseOptionPairs(args.opt) };
    await putVolume(args.runDir, details, { ...options, 'on-change': 'update' });
    print(args, { driver: details.driver, name: details.name }, ['DRIVER', 'NAME'], [[details.driver, details.name]]);
  },
};

async function copyVolume(
  runDir: string,
  source: VolumeDetails,
  name: string,
  options: Readonly<Record<string, string>>,
): Promise<{ driver: string; name: string }> {
  const { driver } = source;
  const sameplace =
    JSON.stringify(options) === JSON.stringify({ ...source.options, 'label.cleat.snapshot-of': source.name });
  if (!source.ownsData && (sameplace || JSON.stringify(options) === JSON.stringify(source.options))) {
    throw new CommandFailure(
      `the data of "${source.name}" is not in a place of its own: say with -o where the copy goes (subdir=, device=)`,
      exitCodes.usage,
    );
  }
  if (driver === 'cleat-tmpfs' && (options['keep'] ?? 'never') === 'never') {
    throw new CommandFailure('a tmpfs loses its content when nobody holds it: give -o keep=always', exitCodes.usage);
  }
  const target = { driver, name };
  if (await exists(runDir, target)) throw new CommandFailure(`volume "${name}" exists already`);
  await putVolume(runDir, target, options);
  try {
    await withVolume(runDir, source, (from) => withVolume(runDir, target, (to) => copyFolder(from, to)));
  } catch (error) {
    await removeVolume(runDir, target);
    throw error;
  }
  return target;
}

async function exists(runDir: string, { driver, name }: { driver: string; name: string }): Promise<boolean> {
  return await findVolume(runDir, `${driver}/${name}`).then(
    () => true,
    () => false,
  );
}
