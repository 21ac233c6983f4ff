/** `cleat volume backup` and `restore`. */
import { createReadStream } from 'node:fs';
import { writeBackup } from '../../volume/archive/backup.ts';
import { readBackup } from '../../volume/archive/restore.ts';
import type { VolumeDetails } from '../../volume/control.ts';
import { maskOptions } from '../../volume/mask.ts';
import { describeUser } from '../../volume/users.ts';
import type { Command } from '../command.ts';
import { findEngineSocket, pauseContainer } from '../engine.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { formatBytes, print } from '../table.ts';
import { findVolume, type VolumeOptions, volumeDetails, withVolume } from './daemon.ts';
import { startProgress } from './progress.ts';

interface BackupOptions extends VolumeOptions {
  readonly output?: string;
  readonly live: boolean;
  readonly pause: boolean;
  readonly engine?: string;
}

interface RestoreOptions extends VolumeOptions {
  readonly input?: string;
  readonly force: boolean;
}

export const backupCommand: Command<BackupOptions> = {
  command: 'backup <volume>',
  describe: 'Write a volume as tar with zstd and a checksum, to a file or to standard output',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .option('output', { alias: 'O', type: 'string', describe: 'File to write (default: standard output)' })
      .option('pause', {
        type: 'boolean',
        default: false,
        describe: 'Pause the containers that use it while it is read',
      })
      .option('live', {
        type: 'boolean',
        default: false,
        describe: 'Read it although it is in use; files may change under the reading',
      })
      .option('engine', { type: 'string', describe: 'Socket of the engine that pauses (default: the usual ones)' })
      .example('$0 volume backup data -O data.tar.zst', 'a file that any tar with zstd reads')
      .example(
        '$0 volume backup data --pause | ssh backup.example.org "cat >data.tar.zst"',
        'consistent, while its container runs',
      ),
  run: async (args) => {
    const details = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    if (args.output === undefined && process.stdout.isTTY) {
      throw new CommandFailure('standard output is a terminal; give --output FILE', exitCodes.usage);
    }
    const paused = await pauseUsers(details, args);
    const progress = startProgress('backed up');
    try {
      const { driver, name } = details;
      const about = { volume: name, driver, options: maskOptions(details.options) };
      const { trailer, changed } = await withVolume(args.runDir, details, (folder) =>
        writeBackup({ folder, about, file: args.output, onProgress: progress.update }),
      );
      progress.end();
      if (changed) process.stderr.write('cleat: files changed while they were read: the backup is not consistent\n');
      if (args.output !== undefined) {
        print(
          args,
          { ...trailer, file: args.output },
          ['FILE', 'SIZE', 'SHA256'],
          [[args.output, formatBytes(trailer.bytes), trailer.sha256]],
        );
      }
      if (changed) process.exitCode = exitCodes.failed;
    } finally {
      progress.end();
      for (const resume of paused) await resume();
    }
  },
};

/** Returns how to go on afterwards. */
async function pauseUsers(
  { users, name }: VolumeDetails,
  { pause, live, engine }: BackupOptions,
): Promise<readonly (() => Promise<void>)[]> {
  if (users.length === 0 || live) return [];
  if (!pause) {
    throw new CommandFailure(
      `volume "${name}" is in use by ${users.map(describeUser).join(', ')}; stop them, or give --pause, or --live for a backup that may be inconsistent`,
    );
  }
  const ids = [...new Set(users.flatMap(({ containerId }) => containerId ?? []))];
  const stranger = users.find(({ containerId }) => containerId === undefined);
  if (stranger !== undefined)
    throw new CommandFailure(`${describeUser(stranger)} is no container and cannot be paused; end it, or give --live`);
  const socket = findEngineSocket(engine);
  const resumes: (() => Promise<void>)[] = [];
  try {
    for (const id of ids) resumes.push(await pauseContainer(socket, id));
  } catch (error) {
    for (const resume of resumes) await resume();
    throw error;
  }
  return resumes;
}

export const restoreCommand: Command<RestoreOptions> = {
  command: 'restore <volume>',
  describe: 'Read a backup into a volume that exists; the checksum is compared before anything is replaced',
  build: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'NAME or DRIVER/NAME' })
      .option('input', { alias: 'i', type: 'string', describe: 'File to read (default: standard input)' })
      .option('force', { alias: 'f', type: 'boolean', default: false, describe: 'Replace what is in the volume' })
      .example('$0 volume restore data -i data.tar.zst', ''),
  run: async (args) => {
    const details = await volumeDetails(args.runDir, await findVolume(args.runDir, args.volume));
    if (details.users.length > 0) {
      throw new CommandFailure(
        `volume "${details.name}" is in use by ${details.users.map(describeUser).join(', ')}; stop them first`,
      );
    }
    const progress = startProgress('restored');
    try {
      const input = args.input === undefined ? process.stdin : createReadStream(args.input);
      const trailer = await withVolume(args.runDir, details, (folder) =>
        readBackup({ input, folder, replace: args.force, onProgress: progress.update }),
      );
      progress.end();
      print(
        args,
        trailer,
        ['VOLUME', 'OF', 'MADE', 'SIZE'],
        [[details.name, trailer.volume, trailer.createdAt, formatBytes(trailer.bytes)]],
      );
    } finally {
      progress.end();
    }
  },
};
