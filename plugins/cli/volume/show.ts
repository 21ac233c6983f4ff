/** `cleat volume ls`, `inspect`, `df` and `holders`. */
import type { VolumeSummary } from '../../volume/control.ts';
import type { Command } from '../command.ts';
import { callControl } from '../control.ts';
import type { GlobalOptions } from '../global-options.ts';
import { formatBytes, print } from '../table.ts';
import { findVolume, listVolumes, type VolumeOptions, volumeDetails } from './daemon.ts';

export const listCommand: Command<GlobalOptions> = {
  command: 'ls',
  describe: 'List the volumes of all drivers with their health and holders',
  build: (yargs) => yargs.example('$0 volume ls', 'what `docker volume ls` cannot say'),
  run: async (args) => {
    const volumes = await listVolumes(args.runDir);
    const rows = volumes.map(({ driver, name, health, holders, mountpoint }) => [
      driver,
      name,
      health,
      holders,
      mountpoint,
    ]);
    print(args, volumes, ['DRIVER', 'NAME', 'HEALTH', 'HOLDERS', 'MOUNTPOINT'], rows);
  },
};

export const inspectCommand: Command<VolumeOptions> = {
  command: 'inspect <volume>',
  describe: 'Show everything about a volume as JSON',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .example('$0 volume inspect data', ''),
  run: async (args) => {
    const { options: _, ...details } = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    print({ json: true }, details, [], []);
  },
};

export const dfCommand: Command<GlobalOptions> = {
  command: 'df',
  describe: 'Measure how full the volumes are; walks through those that are plain folders',
  build: (yargs) => yargs.example('$0 volume df', 'bytes and inodes, used and allowed'),
  run: async (args) => {
    const volumes = await callControl<VolumeSummary[]>(args.runDir, 'volumed', 'POST', '/volumes/measure');
    print(args, volumes, ['DRIVER', 'NAME', 'USED', 'LIMIT', 'USE%', 'INODES', 'INODE LIMIT'], volumes.map(fillRow));
  },
};

export const holdersCommand: Command<VolumeOptions> = {
  command: 'holders [volume]',
  describe: 'Show who holds volumes: mount IDs on record, and the containers and processes that the kernel shows',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', describe: 'NAME or DRIVER/NAME (default: all that are held)' })
      .example('$0 volume holders data', 'why it cannot be removed'),
  run: async (args) => {
    const volumes =
      args.volume === undefined ? await listVolumes(args.runDir) : [await findVolume(args.runDir, args.volume)];
    const all = await Promise.all(volumes.map((volume) => volumeDetails(args.runDir, volume)));
    const rows = all.flatMap(({ driver, name, status, users }) => [
      ...holdsOf(status).map((hold) => [
        driver,
        name,
        'mount ID',
        `${hold.id}${hold.count > 1 ? ` (${hold.count} times)` : ''}`,
        hold.since,
      ]),
      ...users.map(({ containerId, command, pid, mountPoint }) => [
        driver,
        name,
        containerId === undefined ? 'process' : 'container',
        `${containerId?.slice(0, 12) ?? pid} (${command}) at ${mountPoint}`,
        '',
      ]),
    ]);
    const value = all.map(({ driver, name, status, users }) => ({ driver, name, holds: holdsOf(status), users }));
    print(args, value, ['DRIVER', 'NAME', 'KIND', 'WHO', 'SINCE'], rows);
  },
};

interface HoldShown {
  readonly id: string;
  readonly count: number;
  readonly since: string;
}

/** The daemon's own Status, whose shape is ours. */
function holdsOf(status: Readonly<Record<string, unknown>>): readonly HoldShown[] {
  return (status['holders'] ?? []) as readonly HoldShown[];
}

function fillRow({ driver, name, usedBytes, limitBytes, usedInodes, limitInodes }: VolumeSummary): (string | number)[] {
  const bytes = (value: number | undefined): string => (value === undefined ? '-' : formatBytes(value));
  const part = usedBytes === undefined || !limitBytes ? '-' : `${Math.round((100 * usedBytes) / limitBytes)}%`;
  return [driver, name, bytes(usedBytes), bytes(limitBytes), part, usedInodes ?? '-', limitInodes ?? '-'];
}
