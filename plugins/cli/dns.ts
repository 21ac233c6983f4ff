/** `cleat dns`: ask as a network's containers ask, watch queries live, list names, see the state of the server. */
import { request } from 'node:http';
import { join } from 'node:path';
import type { Explanation } from '../network/dns/explain.ts';
import type { QueryLogEntry } from '../network/dns/query-log.ts';
import { type Command, toYargs } from './command.ts';
import { callControl } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { formatTable, print } from './table.ts';

interface QueryOptions extends GlobalOptions {
  readonly name: string;
  readonly network: string;
  readonly type: string;
}

interface LogOptions extends GlobalOptions {
  readonly network?: string;
  readonly client?: string;
  readonly name?: string;
  readonly type?: string;
  readonly outcome?: string;
  readonly failed: boolean;
  readonly count?: number;
}

interface NameRow {
  readonly network: string;
  readonly name: string;
  readonly type: string;
  readonly data: string;
  readonly source: string;
  readonly container: string;
}

interface DnsStatus {
  readonly places: readonly { readonly place: string; readonly where: string; readonly listening: boolean }[];
  readonly engines: readonly { readonly socketPath: string; readonly connected: boolean }[];
  readonly upstreams: readonly {
    readonly domain: string;
    readonly server: string;
    readonly state: string;
    readonly rttMs: number;
    readonly sent: number;
    readonly answered: number;
    readonly lost: number;
  }[];
}

const queryCommand: Command<QueryOptions> = {
  command: 'query <name> [type]',
  describe: 'Answer a question as the containers of a network get it, with the reason for each record',
  build: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true, describe: 'The name to ask for' })
      .positional('type', { type: 'string', default: 'A', describe: 'The record type' })
      .option('network', { type: 'string', alias: 'n', demandOption: true, describe: 'Name or id of the network' })
      .example('$0 dns query web --network shop', 'which addresses, and why')
      .example('$0 dns query _http._tcp.web SRV -n shop --json', 'for a program'),
  run: async (args) => {
    const search = new URLSearchParams({ network: args.network, name: args.name, type: args.type });
    const answer = await callControl<Explanation>(args.runDir, 'networkd', 'GET', `/dns/query?${search}`);
    if (args.json) {
      print(args, answer, [], []);
    } else {
      process.stdout.write(`${answer.rcode}: ${answer.why} (${answer.ms} ms)\n`);
      const rows = answer.records.map((record) => [
        record.section,
        record.name,
        record.ttl,
        record.type,
        record.data,
        record.source,
        record.container ?? '',
      ]);
      if (rows.length > 0) {
        process.stdout.write(
          `${formatTable(['SECTION', 'NAME', 'TTL', 'TYPE', 'DATA', 'SOURCE', 'CONTAINER'], rows)}\n`,
        );
      }
    }
    const found = answer.records.some((record) => record.section === 'answer');
    if (!found) process.exitCode = exitCodes.failed;
  },
};

const logCommand: Command<LogOptions> = {
  command: 'log',
  describe: 'Print queries as they are answered, until interrupted',
  build: (yargs) =>
    yargs
      .option('network', { type: 'string', alias: 'n', describe: 'Only this network, by name' })
      .option('client', { type: 'string', describe: 'Only this client address' })
      .option('name', { type: 'string', describe: 'Only names that contain this text' })
      .option('type', { type: 'string', describe: 'Only this record type' })
      .option('outcome', {
        type: 'string',
        describe: 'Only this outcome: local, cached, forwarded, nxdomain, refused …',
      })
      .option('failed', { type: 'boolean', default: false, describe: 'Only what has no answer' })
      .option('count', { type: 'number', describe: 'End after this many' })
      .example('$0 dns log --network shop --failed', 'which names do not resolve')
      .example('$0 dns log --client 172.28.0.3 --json', 'one container, for a program'),
  run: (args) => followLog(args),
};

const namesCommand: Command<GlobalOptions & { readonly network?: string }> = {
  command: 'names',
  describe: 'List the names of networks and where each came from',
  build: (yargs) =>
    yargs
      .option('network', { type: 'string', alias: 'n', describe: 'Only this network, by name or id' })
      .example('$0 dns names --network shop', 'all names of a network'),
  run: async (args) => {
    const query = args.network === undefined ? '' : `?${new URLSearchParams({ network: args.network })}`;
    const rows = await callControl<NameRow[]>(args.runDir, 'networkd', 'GET', `/dns/names${query}`);
    print(
      args,
      rows,
      ['NETWORK', 'NAME', 'TYPE', 'DATA', 'SOURCE', 'CONTAINER'],
      rows.map((row) => [row.network, row.name, row.type, row.data, row.source, row.container]),
    );
  },
};

const statusCommand: Command<GlobalOptions> = {
  command: 'status',
  describe: 'Where DNS answers, which engines it follows, how its upstreams are',
  build: (yargs) => yargs.example('$0 dns status', 'is every gateway and sandbox served?'),
  run: async (args) => {
    const status = await callControl<DnsStatus>(args.runDir, 'networkd', 'GET', '/dns/status');
    if (args.json) {
      print(args, status, [], []);
      return;
    }
    const places = status.places.map(({ place, where, listening }) => [
      place,
      where,
      listening ? 'answering' : 'not yet',
    ]);
    const engines = status.engines.map(({ socketPath, connected }) => [
      'engine',
      socketPath,
      connected ? 'followed' : 'away',
    ]);
    process.stdout.write(`${formatTable(['KIND', 'WHERE', 'STATE'], [...places, ...engines])}\n`);
    const upstreams = status.upstreams.map((one) => [
      one.domain,
      one.server,
      one.state,
      one.rttMs,
      one.sent,
      one.answered,
      one.lost,
    ]);
    if (upstreams.length === 0) return;
    process.stdout.write(
      `\n${formatTable(['DOMAIN', 'UPSTREAM', 'STATE', 'RTT MS', 'SENT', 'ANSWERED', 'LOST'], upstreams)}\n`,
    );
  },
};

export const dnsCommand: Command<GlobalOptions> = {
  command: 'dns <command>',
  describe: 'Ask, watch and list what the DNS server of the networks answers',
  build: (yargs) =>
    yargs
      .command(
        [queryCommand, logCommand, namesCommand, statusCommand].map((command) =>
          toYargs(command as Command<GlobalOptions>),
        ) as never,
      )
      .demandCommand(1, 'Say what to do: query, log, names or status'),
  run: () => {},
};

const separator = '  ';

function followLog(args: LogOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const socketPath = join(args.runDir, 'networkd.sock');
    let rest = '';
    let left = args.count ?? Number.POSITIVE_INFINITY;
    const call = request({ socketPath, path: '/dns/log' }, (response) => {
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const entry = JSON.parse(line) as QueryLogEntry;
          if (left === 0 || !wanted(entry, args)) continue;
          process.stdout.write(args.json ? `${line}\n` : `${formatEntry(entry)}\n`);
          if (--left === 0) call.destroy();
        }
      });
      response.on('close', () => resolve());
      response.on('error', () => resolve());
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (left === 0) resolve();
      else
        reject(
          new CommandFailure(
            `cleat-networkd does not answer on ${socketPath} (${error.code ?? error.message})`,
            exitCodes.unavailable,
          ),
        );
    });
    call.end();
  });
}

function wanted(entry: QueryLogEntry, args: LogOptions): boolean {
  if (args.network !== undefined && !entry.network.split('+').includes(args.network)) return false;
  if (args.client !== undefined && entry.client !== args.client) return false;
  if (args.name !== undefined && !entry.name.includes(args.name.toLowerCase())) return false;
  if (args.type !== undefined && entry.type !== args.type.toUpperCase()) return false;
  if (args.outcome !== undefined && entry.outcome !== args.outcome) return false;
  return !args.failed || entry.answers === 0;
}

function formatEntry(entry: QueryLogEntry): string {
  const { time, network, client, transport, name, type, rcode, answers, outcome, source, ms } = entry;
  const question = `${name} ${type}`;
  return [time, network, `${client}/${transport}`, question, `${rcode} ${answers}`, outcome, source, `${ms} ms`].join(
    separator,
  );
}
