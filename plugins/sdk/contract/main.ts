/**
 * Runs one conformance suite against a socket and prints what it found.
 * Exit codes: 0 conforms, 1 does not, 2 wrong use, 69 nobody answers there.
 */
import { parseArgs } from 'node:util';
import { errorLine, PluginError } from '../errors.ts';
import { testIpamPlugin } from './ipam.ts';
import { testLogPlugin } from './log.ts';
import { testNetworkPlugin } from './network.ts';
import { type ContractReport, formatResult, formatSummary } from './report.ts';
import { Subject, type SubjectOptions } from './subject.ts';
import { testVolumePlugin } from './volume.ts';

const USAGE = `Usage: node plugins/sdk/contract/main.ts KIND --socket PLUGIN [OPTIONS]

KIND is network, ipam, volume or log. PLUGIN is the path of a unix socket, a URL (tcp://192.0.2.1:7777) or a plugin's name.

Options:
  --opt NAME=VALUE     a driver option, sent with every create; may be repeated
  --range CIDR         network, ipam: IPv4 range to work in (198.19.0.0/16, 198.18.0.0/16)
  --no-kernel          network: move no links (needs no root)
  --ipv6               network: try a network of both families as well
  --no-traffic         network: endpoints are not meant to reach each other
  --volatile           volume: data is gone after the last unmount
  --not-visible        volume: mountpoints cannot be seen from here
  --time-limit SECONDS how long one call may take (30)
  --json               one JSON object instead of text

Examples:
  node plugins/sdk/contract/main.ts volume --socket /run/docker/plugins/example.sock
  node plugins/sdk/contract/main.ts network --socket cleat-macvlan --opt parent=eth0 --json`;

class WrongUse extends Error {}

interface Flags {
  readonly socket?: string;
  readonly opt: readonly string[];
  readonly range?: string;
  readonly 'no-kernel': boolean;
  readonly 'no-traffic': boolean;
  readonly ipv6: boolean;
  readonly volatile: boolean;
  readonly 'not-visible': boolean;
  readonly 'time-limit': string;
  readonly json: boolean;
  readonly help: boolean;
}

function parse(argv: string[]): { kind: string | undefined; flags: Flags } {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    const { positionals, values } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        socket: text,
        opt: { type: 'string', multiple: true, default: [] },
        range: text,
        'no-kernel': flag,
        'no-traffic': flag,
        ipv6: flag,
        volatile: flag,
        'not-visible': flag,
        'time-limit': { type: 'string', default: '30' },
        json: flag,
        help: { ...flag, short: 'h' },
      },
    });
    return { kind: positionals[0], flags: values };
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
}

function driverOptions(pairs: readonly string[]): { options?: Record<string, string> } {
  if (pairs.length === 0) return {};
  const entries = pairs.map((pair): [string, string] => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  });
  return { options: Object.fromEntries(entries) };
}

async function runSuite(kind: string, options: SubjectOptions, flags: Flags): Promise<ContractReport> {
  const all = { ...options, ...driverOptions(flags.opt), ...(flags.range === undefined ? {} : { range: flags.range }) };
  switch (kind) {
    case 'network':
      return await testNetworkPlugin({
        ...all,
        kernel: !flags['no-kernel'],
        ipv6: flags.ipv6,
        reachable: !flags['no-traffic'],
      });
    case 'ipam':
      return await testIpamPlugin(all);
    case 'volume':
      return await testVolumePlugin({ ...all, volatile: flags.volatile, visible: !flags['not-visible'] });
    case 'log':
      return await testLogPlugin(all);
    default:
      throw new WrongUse(`"${kind}" is none of network, ipam, volume and log`);
  }
}

async function main(argv: string[]): Promise<number> {
  const { kind, flags } = parse(argv);
  if (flags.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (kind === undefined || flags.socket === undefined) throw new WrongUse('give a kind and --socket');
  const timeLimitMs = Number(flags['time-limit']) * 1000;
  if (!(timeLimitMs > 0)) throw new WrongUse(`--time-limit ${flags['time-limit']} is no number of seconds`);
  const options: SubjectOptions = {
    socket: flags.socket,
    timeLimitMs,
    ...(flags.json ? {} : { onResult: (result) => process.stdout.write(`${formatResult(result)}\n`) }),
  };
  if (['network', 'ipam', 'volume', 'log'].includes(kind)) {
    const probe = new Subject(kind as 'network', options);
    await probe.client.activate().finally(() => probe.close());
  }
  const report = await runSuite(kind, options, flags);
  process.stdout.write(`${flags.json ? JSON.stringify(report, null, 2) : formatSummary(report)}\n`);
  return report.failed === 0 && report.passed > 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof WrongUse) {
    process.stderr.write(`contract: ${error.message}\n\n${USAGE}\n`);
    process.exitCode = 2;
  } else {
    const away = error instanceof PluginError && ['PROTO_UNREACHABLE', 'PROTO_PLUGIN_NOT_FOUND'].includes(error.code);
    process.stderr.write(`contract: ${errorLine(error)}\n`);
    process.exitCode = away ? 69 : 1;
  }
}
