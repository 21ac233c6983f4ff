/** `cleat volume`: what engines do not offer for plugin volumes. One file a group of verbs in volume/. */
import { type Command, toYargs } from './command.ts';
import type { GlobalOptions } from './global-options.ts';
import { backupCommand, restoreCommand } from './volume/backup.ts';
import { cloneCommand, snapshotCommand, updateCommand } from './volume/clone.ts';
import { pruneCommand } from './volume/prune.ts';
import { dfCommand, holdersCommand, inspectCommand, listCommand } from './volume/show.ts';

const commands = [
  listCommand,
  inspectCommand,
  dfCommand,
  holdersCommand,
  backupCommand,
  restoreCommand,
  cloneCommand,
  snapshotCommand,
  updateCommand,
  pruneCommand,
] as readonly Command<never>[];

export const volumeCommand: Command<GlobalOptions> = {
  command: 'volume <command>',
  describe: 'Back up, restore, clone, measure and prune volumes; see who holds them',
  build: (yargs) => commands.reduce((parser, command) => parser.command(toYargs(command)), yargs).demandCommand(1),
  run: () => {},
};
