/** What a verb of the `cleat` command is; main.ts hands them to the parser. */
import type { Argv, CommandModule } from 'yargs';
import type { GlobalOptions } from './global-options.ts';

export interface Command<Options extends GlobalOptions> {
  /** As yargs takes it: `netshoot [container]`. */
  readonly command: string;
  readonly describe: string;
  /** Positionals, options and examples. */
  build(yargs: Argv): Argv;
  /** Options in camel case. Throws CommandFailure. */
  run(options: Options): Promise<void> | void;
}

export function toYargs(command: Command<GlobalOptions>): CommandModule {
  return {
    command: command.command,
    describe: command.describe,
    builder: (yargs) => command.build(yargs),
    handler: (args) => command.run(args as unknown as GlobalOptions),
  };
}
