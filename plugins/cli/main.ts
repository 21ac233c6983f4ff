/** The `cleat` command: one file per verb in this folder; this one only lists them. */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { PluginError } from '../sdk/errors.ts';
import { readVersion } from '../sdk/version.ts';
import { type Command, toYargs } from './command.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import { type GlobalOptions, globalOptions } from './global-options.ts';

/** In the order of the help text. */
const verbs: Readonly<Record<string, () => Promise<Command<GlobalOptions>>>> = {
  status: async () => (await import('./status.ts')).statusCommand,
  ports: async () => (await import('./ports.ts')).portsCommand,
  dns: async () => (await import('./dns.ts')).dnsCommand,
  overlay: async () => (await import('./overlay.ts')).overlayCommand,
  volume: async () => (await import('./volume.ts')).volumeCommand,
  log: async () => (await import('./log.ts')).logCommand,
  netshoot: async () => (await import('./netshoot.ts')).netshootCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  purge: async () => (await import('./purge.ts')).purgeCommand,
  serve: async () => (await import('./serve.ts')).serveCommand,
  systemd: async () => (await import('./systemd.ts')).systemdCommand,
  plugin: async () => (await import('./plugin.ts')).pluginCommand,
};

const words = hideBin(process.argv);
// All of them together take half a second: only those are loaded that the line can mean, or all for help and for a wrong word.
const all = Object.entries(verbs);
const meant = all.filter(([verb]) => words.includes(verb));
const commands = await Promise.all((meant.length > 0 ? meant : all).map(([, load]) => load()));

const parser = yargs(words)
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
