/** config.json of the managed plugin: what an engine gives to it, and what its user may set. Pure. */
import { managedSettings } from '../../network/managed-settings.ts';
import { driverName } from '../../network/overlay/options.ts';
import type { Rootfs } from './rootfs.ts';

/** Beside those that every container has. */
const capabilities = [
  // Links, routes, neighbours, rules.
  'CAP_NET_ADMIN',
  // To enter the sandboxes of containers, and to write the settings below /proc/sys/net.
  'CAP_SYS_ADMIN',
  // Whether anybody lives in a sandbox is told by /proc/PID/ns of other users' processes.
  'CAP_SYS_PTRACE',
];

export function pluginConfig({ main, hasWireguard }: Rootfs): object {
  return {
    description: 'cleat-overlay: networks over the hosts of a swarm',
    interface: { types: ['docker.networkdriver/1.0'], socket: `${driverName}.sock` },
    entrypoint: ['/usr/bin/node', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=2', main],
    workdir: '/',
    network: { type: 'host' },
    pidHost: true,
    linux: { capabilities, devices: hasWireguard ? [tun] : [] },
    mounts: [
      // Sandboxes appear here after the start, and the engine's socket anew with each of its starts: so the folder, as a slave.
      mount(
        'run',
        '/run',
        ['rbind', 'rslave', 'rw'],
        "Sandboxes, the engine's API, and the socket of the cleat command",
      ),
      mount('state', '/var/lib/cleat', ['bind', 'rw'], 'Records; they outlive the plugin'),
      mount('config', '/etc/cleat', ['bind', 'ro'], 'networkd.json, and files that it names'),
    ],
    env: [
      ...managedSettings.map(({ name, description }) => ({ name, description, value: '', settable: ['value'] })),
      // The rootfs stays from one start to the next: the second one is quicker.
      { name: 'NODE_COMPILE_CACHE', description: '', value: '/usr/lib/cleat/.cache', settable: [] },
    ],
  };
}

const tun = {
  name: 'tun',
  description: 'For encrypted networks on kernels without WireGuard',
  path: '/dev/net/tun',
  settable: ['path'],
};

/** At the same place inside. */
function mount(name: string, path: string, options: readonly string[], description: string): object {
  return { name, description, source: path, destination: path, type: 'bind', options, settable: ['source'] };
}
