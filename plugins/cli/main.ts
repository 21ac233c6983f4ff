/** The `cleat` command: one file per verb in this folder; this one only lists them. */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { PluginError } from '../sdk/errors.ts';
import { readVersion } from '../sdk/version.ts';
import { type Command, toYargs } from './command.ts';
import { dnsCommand } from './dns.ts';
import { doctorCommand } from './doctor.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import { type GlobalOptions, globalOptions } from './global-options.ts';
import { logCommand } from './log.ts';
import { netshootCommand } from './netshoot.ts';
import { overlayCommand } from './overlay.ts';
import { portsCommand } from './ports.ts';
import { purgeCommand } from './purge.ts';
import { serveCommand } from './serve.ts';
import { statusCommand } from './status.ts';
import { systemdCommand } from './systemd.ts';
import { volumeCommand } from './volume.ts';

/** In the order of the help text. */
const commands: readonly Command<GlobalOptions>[] = [
  statusCommand,
  portsCommand,
  dnsCommand,
  overlayCommand,
  volumeCommand,
  logCommand,
  netshootCommand,
  doctorCommand,
  purgeCommand,
  serveCommand,
  systemdCommand,
];

const parser = yargs(hideBin(process.argv))
  .scriptName('cleat')
  .usage('$0 COMMAND\n\nNetworks, volumes and logs for any container engine.')
  .options(globalOptions)
  .command(commands.map(toYargs) as never)
  .completion('completion', 'Print a completion script for bash or zsh')
  .demandCommand(1, 'Say which command to run; `cleat --help` lists them')
  .recommendCommands()
  .strict()
  .version(readVersion())
  .alias('h', 'help')
  .alias('V', 'version')
  .epilogue('Exit codes: 0 done, 1 failed or not found, 2 wrong use, 69 the daemon does not answer.')
  .wrap(Math.min(110, process.stdout.columns || 110))
  .fail((message: string | undefined, error: Error | undefined) => {
    if (error !== undefined) throw error;
    throw new CommandFailure(`${message ?? 'wrong use'}\nSee \`cleat --help\`.`, exitCodes.usage);
  });

try {
  await parser.parseAsync();
} catch (error) {
  process.stderr.write(`cleat: ${describe(error)}\n`);
  process.exitCode = error instanceof CommandFailure ? error.exitCode : exitCodes.failed;
}

function describe(error: unknown): string {
  if (error instanceof PluginError) return error.line;
  return error instanceof Error ? error.message : String(error);
}
