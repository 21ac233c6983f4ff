/** `cleat plugin`: the folder that `docker plugin create` takes, with cleat-overlay in it as a managed plugin for swarms. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from './command.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { pluginConfig } from './plugin/config.ts';
import { makeRootfs } from './plugin/rootfs.ts';

interface PluginOptions extends GlobalOptions {
  readonly folder: string;
}

export const pluginCommand: Command<PluginOptions> = {
  command: 'plugin <folder>',
  describe: 'Write a folder for `docker plugin create`: cleat-overlay as a managed plugin, for swarms',
  build: (yargs) =>
    yargs
      .positional('folder', { type: 'string', demandOption: true, describe: 'New or empty' })
      .example('$0 plugin /tmp/cleat-overlay', 'then: docker plugin create cleat-overlay /tmp/cleat-overlay'),
  run: async ({ folder }) => {
    if (existsSync(folder) && readdirSync(folder).length > 0)
      throw new CommandFailure(`${folder} is not empty; name a new folder`, exitCodes.usage);
    const root = join(folder, 'rootfs');
    mkdirSync(root, { recursive: true });
    const rootfs = await makeRootfs(root);
    writeFileSync(join(folder, 'config.json'), `${JSON.stringify(pluginConfig(rootfs), null, 2)}\n`);
    process.stdout.write(`On every node of the swarm, as root:
  mkdir -p /etc/cleat /var/lib/cleat
  docker plugin create cleat-overlay ${resolve(folder)}
  docker plugin set cleat-overlay PEERS=ADDRESS,ADDRESS,… SECRET_FILE=/etc/cleat/overlay.secret
  docker plugin enable cleat-overlay
`);
  },
};
