/** The process `cleat-shim`: command line in, service started, until it is told to stop. */

import { runDaemons } from '../plugins/sdk/daemon.ts';
import { type LogLevel, UsageError } from '../plugins/sdk/daemon-flags.ts';
import { errorLine } from '../plugins/sdk/index.ts';
import { readVersion } from '../plugins/sdk/version.ts';
import { helpText } from './config/help.ts';
import { loadConfig } from './config/load.ts';
import { ConfigError } from './config/option.ts';
import { startShim } from './service.ts';

const argv = process.argv.slice(2);
try {
  const { config, configFile, instead } = loadConfig(argv);
  if (instead === 'help') process.stdout.write(`${helpText()}\n`);
  else if (instead === 'version') process.stdout.write(`cleat-shim version ${readVersion()}\n`);
  else if (instead === 'validate') process.stdout.write('configuration OK\n');
  else {
    const about = 'A minimal engine that the stock docker command drives.';
    await runDaemons([{ name: 'shim', about, start: (context) => startShim(context, argv) }], {
      configFile,
      configGiven: false,
      runDir: config.runDir,
      stateDir: config.dataRoot,
      pluginDir: config.pluginDir,
      logLevel: (config.debug ? 'debug' : config.logLevel) as LogLevel,
    });
  }
} catch (error) {
  const wrongUse = (error instanceof ConfigError && error.usage) || error instanceof UsageError;
  process.stderr.write(
    `cleat-shim: ${error instanceof ConfigError || error instanceof UsageError ? error.message : errorLine(error)}\n`,
  );
  if (wrongUse) process.stderr.write("See 'cleat-shim --help'.\n");
  process.exitCode = wrongUse ? 2 : 1;
}
