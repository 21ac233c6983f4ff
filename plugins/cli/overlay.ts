/** `cleat overlay`: networks over hosts, as this host has them, and the other hosts as this one hears them. */
import type { OverlayNetworkRow, OverlayPeerRow } from '../network/overlay/control.ts';
import type { StoreStatus } from '../network/overlay/control-plane.ts';
import { type Command, toYargs } from './command.ts';
import { callControl } from './control.ts';
import { exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { print } from './table.ts';

interface NetworkOptions extends GlobalOptions {
  readonly network?: string;
}

const statusCommand: Command<NetworkOptions> = {
  command: 'status',
  describe: 'The overlay networks of this host: VNI, share of the subnet, what is known of other hosts',
  build: (yargs) => withNetwork(yargs).example('$0 overlay status', 'which networks reach how many hosts'),
  run: async (args) => {
    const all = await callControl<OverlayNetworkRow[]>(args.runDir, 'networkd', 'GET', '/overlay/networks');
    const rows = all.filter(({ overlay }) => (args.network ?? overlay) === overlay);
    print(
      args,
      rows,
      ['OVERLAY', 'VNI', 'INTERFACE', 'UNDERLAY', 'MTU', 'SHARE', 'HOSTS', 'REMOTE', 'ENTRIES', 'NETWORK ID'],
      rows.map((row) => [
        row.overlay,
        row.vni,
        row.interface,
        row.underlay || '-',
        row.mtu ?? '-',
        row.share.join(' '),
        row.hosts,
        row.remoteEndpoints,
        row.entries,
        row.networkId,
      ]),
    );
    if (args.network !== undefined && rows.length === 0) process.exitCode = exitCodes.failed;
  },
};

const peersCommand: Command<NetworkOptions> = {
  command: 'peers',
  describe: 'The other hosts of each network: connection, round trip, when last heard, what is wrong',
  build: (yargs) => withNetwork(yargs).example('$0 overlay peers -n prod --json', 'one network, for a program'),
  run: async (args) => {
    const all = await callControl<OverlayPeerRow[]>(args.runDir, 'networkd', 'GET', '/overlay/peers');
    const rows = all.filter(({ overlay }) => (args.network ?? overlay) === overlay);
    print(
      args,
      rows,
      ['OVERLAY', 'PEER', 'HOST', 'STATE', 'RTT MS', 'HEARD MS AGO', 'ENDPOINTS', 'PROBLEM'],
      rows.map((row) => [
        row.overlay,
        row.peer,
        row.hostName || '-',
        row.state,
        row.rttMs ?? '-',
        row.heardMs ?? '-',
        row.endpoints,
        row.problem || '-',
      ]),
    );
    if (rows.some(({ state, problem }) => state !== 'connected' || problem !== '')) process.exitCode = exitCodes.failed;
  },
};

const storeCommand: Command<GlobalOptions> = {
  command: 'store',
  describe: 'The connection to etcd: member, round trip, what was read and written since the daemon began',
  build: (yargs) => yargs.example('$0 overlay store', 'whether the store answers; exit code 1 when it does not'),
  run: async (args) => {
    const rows = await callControl<StoreStatus[]>(args.runDir, 'networkd', 'GET', '/overlay/store');
    print(
      args,
      rows,
      ['STATE', 'MEMBER', 'VERSION', 'RTT MS', 'REVISION', 'CONNECTED', 'EVENTS', 'WRITES', 'ENDPOINTS'],
      rows.map((row) => [
        row.state,
        row.endpoint || '-',
        row.version || '-',
        row.rttMs?.toFixed(1) ?? '-',
        row.revision ?? '-',
        row.sessions,
        row.events,
        row.writes,
        row.endpoints.join(' '),
      ]),
    );
    if (rows.some(({ state }) => state !== 'connected')) process.exitCode = exitCodes.failed;
  },
};

function withNetwork(yargs: Parameters<NonNullable<Command<NetworkOptions>['build']>>[0]) {
  return yargs.option('network', { type: 'string', alias: 'n', describe: 'Only this one, by its cleat.network name' });
}

export const overlayCommand: Command<GlobalOptions> = {
  command: 'overlay <command>',
  describe: 'Show the networks over hosts and the hosts behind them',
  build: (yargs) =>
    yargs
      .command(
        [statusCommand, peersCommand, storeCommand].map((command) =>
          toYargs(command as Command<GlobalOptions>),
        ) as never,
      )
      .demandCommand(1, 'Say what to do: status, peers or store'),
  run: () => {},
};
