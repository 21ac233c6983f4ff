/** `cleat serve`: several daemons in one process, for small hosts. */

import { startShimService } from '../../daemon-shim/service.ts';
import { startLogService } from '../log/service.ts';
import { startNetworkService } from '../network/service.ts';
import { type DaemonSpec, runDaemons } from '../sdk/daemon.ts';
import { type LogLevel, readConfigFile } from '../sdk/daemon-flags.ts';
import { startVolumeService } from '../volume/service.ts';
import type { Command } from './command.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';

const specs: readonly DaemonSpec[] = [
  { name: 'networkd', about: 'Networks and their addresses and names.', start: startNetworkService },
  { name: 'volumed', about: 'Volumes.', start: startVolumeService },
  { name: 'logd', about: 'Logs.', start: startLogService },
];

/** An engine is started by its name only: most hosts have one. Last, for it looks for the others' plugins. */
const shim: DaemonSpec = { name: 'shim', about: 'A container engine.', start: startShimService };
const known = [...specs, shim];

interface ServeOptions extends GlobalOptions {
  readonly daemons?: readonly string[];
  readonly config?: string;
  readonly pluginDir: string;
  readonly logLevel: string;
}

export const serveCommand: Command<ServeOptions> = {
  command: 'serve [daemons..]',
  describe: 'Run several daemons in one process (one Node process instead of three)',
  build: (yargs) =>
    yargs
      .positional('daemons', {
        array: true,
        type: 'string',
        choices: known.map((spec) => spec.name),
        describe: 'Which (default: all but shim)',
      })
      .option('config', {
        type: 'string',
        describe:
          'One JSON file with an object for each daemon, {"networkd": {…}, "logd": {…}}, instead of /etc/cleat/NAME.json',
      })
      .option('plugin-dir', {
        type: 'string',
        default: '/run/docker/plugins',
        describe: 'Where the engine looks for plugins',
      })
      .option('log-level', {
        type: 'string',
        default: 'info',
        choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      })
      .example('$0 serve', 'networks, volumes and logs in one process')
      .example('$0 serve volumed logd', 'no networks')
      .example('$0 serve networkd volumed logd shim', 'with the engine'),
  run: async (args) => {
    const wanted = args.daemons?.length ? known.filter((spec) => args.daemons?.includes(spec.name)) : specs;
    if (args.config !== undefined) checkSections(args.config);
    await runDaemons(wanted, {
      configFile: args.config ?? '',
      configGiven: args.config !== undefined,
      sections: true,
      runDir: args.runDir,
      stateDir: args.stateDir,
      pluginDir: args.pluginDir,
      logLevel: args.logLevel as LogLevel,
    });
  },
};

/** A name of no daemon would be passed over by all. */
function checkSections(configFile: string): void {
  const names = known.map(({ name }) => name);
  const strange = Object.keys(readConfigFile({ configFile, configGiven: true })).find((name) => !names.includes(name));
  if (strange !== undefined)
    throw new CommandFailure(`${configFile}: "${strange}" is no daemon; known: ${names.join(', ')}`, exitCodes.usage);
}
