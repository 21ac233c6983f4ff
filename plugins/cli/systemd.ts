/** `cleat systemd`: the unit that starts a daemon before the engines, for this installation. */
import { fileURLToPath } from 'node:url';
import type { Command } from './command.ts';
import type { DaemonName } from './control.ts';
import type { GlobalOptions } from './global-options.ts';

interface SystemdOptions extends GlobalOptions {
  readonly daemon: DaemonName;
}

const about: Readonly<Record<DaemonName, string>> = {
  networkd: 'networks of cleat',
  volumed: 'volumes of cleat',
  logd: 'container logs of cleat',
  shim: 'container engine of cleat',
};

export const systemdCommand: Command<SystemdOptions> = {
  command: 'systemd <daemon>',
  describe: 'Print the systemd unit of a daemon',
  build: (yargs) =>
    yargs
      .positional('daemon', { choices: Object.keys(about), demandOption: true, describe: 'Which daemon' })
      .example(
        '$0 systemd networkd > /etc/systemd/system/cleat-networkd.service',
        'install it, then: systemctl enable --now cleat-networkd',
      ),
  run: ({ daemon }) => {
    // The built JavaScript lies one folder deeper than the sources.
    const up = import.meta.url.includes('/dist/plugins/') ? '../../..' : '../..';
    const program = fileURLToPath(new URL(`${up}/bin/cleat-${daemon}`, import.meta.url));
    process.stdout.write(unitText(daemon, program));
  },
};

/** Engines wait 15 s for each plugin that they miss at their start, so plugins come first; the shim is one of the engines. */
export function unitText(daemon: DaemonName, program: string): string {
  const order =
    daemon === 'shim'
      ? 'After=network-online.target cleat-networkd.service cleat-volumed.service cleat-logd.service\nWants=network-online.target'
      : 'Before=docker.service podman.service cleat-shim.service';
  return `[Unit]
Description=${about[daemon]}
${order}

[Service]
Type=notify
NotifyAccess=all
ExecStart=${program}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=100ms
# What containers use stays as it is when the daemon stops or is replaced.
KillMode=process
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`;
}
