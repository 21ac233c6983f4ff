/**
 * `cleat netshoot`: a shell, or one command, of the host's own tools (tcpdump, dig, iperf3, nmap …) in the network namespace
 * of a container, or as a guest on a network. Only the network is the container's; files and programs are the host's.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from './command.ts';
import { findEngineSocket, inspectContainer } from './engine.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';

interface NetshootOptions extends GlobalOptions {
  readonly container?: string;
  readonly network?: string;
  readonly engine?: string;
  readonly pluginDir: string;
  readonly '--'?: readonly string[];
}

export const netshootCommand: Command<NetshootOptions> = {
  command: 'netshoot [container]',
  describe: "Look around in a container's network, or on a network, with the host's tools",
  build: (yargs) =>
    yargs
      .positional('container', { type: 'string', describe: 'Name or id of a running container' })
      .option('network', { type: 'string', describe: 'Name or id of a network of ours: join it as a guest' })
      .option('engine', {
        type: 'string',
        describe: "The engine's socket (default: DOCKER_HOST, then the usual places)",
      })
      .option('plugin-dir', {
        type: 'string',
        default: '/run/docker/plugins',
        describe: 'Where the sockets of the drivers are',
      })
      .parserConfiguration({ 'populate--': true })
      .example('$0 netshoot web', 'a shell in the network of web')
      .example('$0 netshoot web -- tcpdump -ni eth0', 'capture there')
      .example('$0 netshoot --network shop -- dig web', 'ask as a guest on the network'),
  run: async (args) => {
    const command = args['--'] ?? [];
    if ((args.container === undefined) === (args.network === undefined)) {
      throw new CommandFailure('name a container, or a network with --network, and not both', exitCodes.usage);
    }
    if (args.network !== undefined) {
      const { visitNetwork } = await import('./netshoot-guest.ts');
      process.exitCode = await visitNetwork({ ...args, network: args.network, engine: args.engine }, (path) =>
        runIn(path, command),
      );
      return;
    }
    const state = await inspectContainer(findEngineSocket(args.engine), args.container ?? '');
    if (!state.State.Running)
      throw new CommandFailure(`container ${state.Name.slice(1)} is not running: it has no network now`);
    process.exitCode = await runIn(`/proc/${state.State.Pid}/ns/net`, command);
  },
};

/** Runs the command, or the user's shell, with the terminal handed through; resolves with its exit code. */
function runIn(namespacePath: string, command: readonly string[]): Promise<number> {
  const program = command.length > 0 ? command : [process.env['SHELL'] ?? '/bin/sh'];
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [`--net=${namespacePath}`, '--', ...program], { stdio: 'inherit' });
    // Ctrl-C belongs to the command; we wait for its end and clean up.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    process.on('SIGTERM', forward);
    child.on('error', (error) => reject(new CommandFailure(`nsenter cannot be run: ${error.message}`)));
    child.on('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
