/** `cleat overlay`: networks over hosts, as this host has them, and the other hosts as this one hears them. */
import type { OverlayNetworkRow, OverlayPeerRow } from '../network/overlay/control.ts';
import type { StoreStatus } from '../network/overlay/control-plane.ts';
import type { TraceStep } from '../network/overlay/trace.ts';
import { type Command, toYargs } from './command.ts';
import { callControl } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
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
    await checkNetwork(args);
    const all = await callControl<OverlayNetworkRow[]>(args.runDir, 'networkd', 'GET', '/overlay/networks');
    const rows = all.filter(({ overlay }) => (args.network ?? overlay) === overlay);
    print(
      args,
      rows,
      [
        'OVERLAY',
        'VNI',
        'INTERFACE',
        'UNDERLAY',
        'MTU',
        'ENCRYPTION',
        'CHECKSUMS',
        'SHARE',
        'HOSTS',
        'REMOTE',
        'ENTRIES',
        'NETWORK ID',
      ],
      rows.map((row) => [
        row.overlay,
        row.vni,
        row.interface,
        row.underlay || '-',
        row.mtu ?? '-',
        row.encryption,
        row.checksums,
        row.share.join(' '),
        row.hosts,
        row.remoteEndpoints,
        row.entries,
        row.networkId,
      ]),
    );
  },
};

const peersCommand: Command<NetworkOptions> = {
  command: 'peers',
  describe: 'The other hosts of each network: connection, round trip, when last heard, what is wrong',
  build: (yargs) => withNetwork(yargs).example('$0 overlay peers -n prod --json', 'one network, for a program'),
  run: async (args) => {
    await checkNetwork(args);
    const all = await callControl<OverlayPeerRow[]>(args.runDir, 'networkd', 'GET', '/overlay/peers');
    const rows = all.filter(({ overlay }) => (args.network ?? overlay) === overlay);
    print(
      args,
      rows,
      [
        'OVERLAY',
        'PEER',
        'HOST',
        'STATE',
        'RTT MS',
        'HEARD MS AGO',
        'WAY',
        'LATENCY MS',
        'LOSS',
        'PATH MTU',
        'CHECKSUMS',
        'HANDSHAKE S AGO',
        'ENDPOINTS',
        'PROBLEM',
      ],
      rows.map((row) => [
        row.overlay,
        row.peer,
        row.hostName || '-',
        row.state,
        row.rttMs ?? '-',
        row.heardMs ?? '-',
        row.way,
        row.latencyMs ?? '-',
        row.loss === null ? '-' : `${Math.round(row.loss * 100)}%`,
        row.pathMtu ?? '-',
        row.checksums,
        row.handshakeSeconds ?? '-',
        row.endpoints,
        row.problem || '-',
      ]),
    );
    const stores = await callControl<StoreStatus[]>(args.runDir, 'networkd', 'GET', '/overlay/store');
    const silent = stores.find(({ state }) => state !== 'connected');
    if (silent) process.stderr.write(`cleat: hosts are not heard without the store: ${silent.state}\n`);
    if (silent || rows.some(({ state, problem }) => state !== 'connected' || problem !== ''))
      process.exitCode = exitCodes.failed;
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

interface TraceOptions extends NetworkOptions {
  readonly from: string;
  readonly to: string;
}

const traceCommand: Command<TraceOptions> = {
  command: 'trace <from> <to>',
  describe: 'Where a frame between two containers goes, entry by entry, and what is missing',
  build: (yargs) =>
    withNetwork(yargs)
      .positional('from', {
        type: 'string',
        demandOption: true,
        describe: 'Address or name of a container of this host',
      })
      .positional('to', { type: 'string', demandOption: true, describe: 'Address or name of a container of any host' })
      .example('$0 overlay trace web 10.90.0.70', 'from web here to whoever has that address') as never,
  run: async (args) => {
    await checkNetwork(args);
    const query = new URLSearchParams({ from: args.from, to: args.to, ...(args.network && { network: args.network }) });
    const rows = await callControl<TraceStep[]>(args.runDir, 'networkd', 'GET', `/overlay/trace?${query}`);
    print(
      args,
      rows,
      ['STEP', 'WHAT', 'MISSING'],
      rows.map(({ step, what, missing }) => [step, what, missing || '-']),
    );
    if (rows.some(({ missing }) => missing !== '')) process.exitCode = exitCodes.failed;
  },
};

const rotateCommand: Command<GlobalOptions> = {
  command: 'rotate',
  describe: 'New keys for the encrypted way between the hosts, now; nothing is lost meanwhile',
  build: (yargs) => yargs.example('$0 overlay rotate', 'on any one host: all of them follow'),
  run: async (args) => {
    await callControl(args.runDir, 'networkd', 'POST', '/overlay/rotate');
  },
};

function withNetwork(yargs: Parameters<NonNullable<Command<NetworkOptions>['build']>>[0]) {
  return yargs.option('network', { type: 'string', alias: 'n', describe: 'Only this one, by its cleat.network name' });
}

/** Throws when this host has no network of the name given. */
async function checkNetwork({ network, runDir }: NetworkOptions): Promise<void> {
  if (network === undefined) return;
  const all = await callControl<OverlayNetworkRow[]>(runDir, 'networkd', 'GET', '/overlay/networks');
  const names = all.map(({ overlay }) => overlay);
  if (!names.includes(network))
    throw new CommandFailure(`this host has no overlay network ${network}; it has ${names.join(', ') || 'none'}`);
}

export const overlayCommand: Command<GlobalOptions> = {
  command: 'overlay <command>',
  describe: 'Show the networks over hosts and the hosts behind them',
  build: (yargs) =>
    yargs
      .command(
        [statusCommand, peersCommand, traceCommand, storeCommand, rotateCommand].map((command) =>
          toYargs(command as Command<GlobalOptions>),
        ) as never,
      )
      .demandCommand(1, 'Say what to do: status, peers, trace, store or rotate'),
  run: () => {},
};
