/** `cleat log`: which containers log where, what they wrote, how sending goes; and options tried before use. */
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { LogStatus } from '../log/control.ts';
import { logDrivers } from '../log/drivers.ts';
import { PluginError } from '../sdk/errors.ts';
import type { LogInfo } from '../sdk/log-plugin.ts';
import { formatTimestamp, parseTimestamp } from '../sdk/protocol/timestamp.ts';
import { findDurationMs } from '../sdk/units.ts';
import { type Command, toYargs } from './command.ts';
import { callControl, parseBody, refusal } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { formatBytes, formatTable, print } from './table.ts';

interface ContainerOptions extends GlobalOptions {
  readonly container?: string;
}

interface TailOptions extends GlobalOptions {
  readonly container: string;
  readonly tail?: number;
  readonly since?: string;
  readonly until?: string;
  readonly follow: boolean;
  readonly timestamps: boolean;
}

interface CheckOptions extends GlobalOptions {
  readonly driver: string;
  readonly logOpt: readonly string[];
}

const lsCommand: Command<GlobalOptions> = {
  command: 'ls',
  describe: 'List the containers that log here, and their files',
  build: (yargs) => yargs.example('$0 log ls', 'all').example('$0 log ls --json', 'for a program, with the paths'),
  run: async (args) => {
    const logs = await callControl<LogStatus[]>(args.runDir, 'logd', 'GET', '/logs');
    const rows = logs.map((log) => [
      log.id.slice(0, 12),
      log.name,
      log.driver,
      log.sessions > 0 ? 'open' : 'closed',
      log.files.length,
      formatBytes(log.files.reduce((sum, { bytes }) => sum + bytes, 0)),
    ]);
    print(args, logs, ['CONTAINER', 'NAME', 'DRIVER', 'LOG', 'FILES', 'SIZE'], rows);
  },
};

const statsCommand: Command<ContainerOptions> = {
  command: 'stats [container]',
  describe: 'Show lines, bytes and drops, and for drivers that send, how far they are',
  build: (yargs) =>
    yargs
      .positional('container', { type: 'string', describe: 'Name, id, or beginning of an id (default: all)' })
      .example('$0 log stats', 'all logs that are open or have something to send')
      .example('$0 log stats web --json', 'one, for a program'),
  run: async (args) => {
    const logs =
      args.container === undefined
        ? await callControl<LogStatus[]>(args.runDir, 'logd', 'GET', '/logs')
        : [await callControl<LogStatus>(args.runDir, 'logd', 'GET', `/logs/${encodeURIComponent(args.container)}`)];
    const shown = args.container === undefined ? logs.filter(({ lines }) => lines !== undefined) : logs;
    const header = ['NAME', 'LINES', 'BYTES', 'DROPPED', 'DAMAGED', 'DESTINATION', 'SENT', 'WAITING', 'LAG', 'STATE'];
    print(args, shown, header, shown.map(statsRow));
  },
};

function statsRow(log: LogStatus): (string | number)[] {
  const { delivery } = log;
  const state =
    delivery === undefined ? '-' : delivery.connected ? 'connected' : (delivery.lastError ?? 'nothing to send');
  return [
    log.name,
    // Nothing is counted of a log that is closed.
    log.lines ?? '-',
    log.bytes === undefined ? '-' : formatBytes(log.bytes),
    log.dropped ?? '-',
    log.damaged ?? '-',
    delivery?.destination ?? '-',
    delivery?.sentLines ?? '-',
    delivery === undefined ? '-' : formatBytes(delivery.spooledBytes),
    delivery === undefined ? '-' : `${Math.round(delivery.lagMs / 100) / 10}s`,
    state,
  ];
}

const tailCommand: Command<TailOptions> = {
  command: 'tail <container>',
  describe: "Print a container's log, also of one that the engine has removed while it is kept",
  build: (yargs) =>
    yargs
      .positional('container', { type: 'string', demandOption: true, describe: 'Name, id, or beginning of an id' })
      .option('tail', { alias: 'n', type: 'number', describe: 'Only the last N lines' })
      .option('since', {
        type: 'string',
        describe: 'A time (RFC 3339, a date, seconds since 1970), or how long ago: 10m, 1h30m',
      })
      .option('until', { type: 'string', describe: 'Likewise' })
      .option('follow', { alias: 'f', type: 'boolean', default: false, describe: 'Go on with what is written' })
      .option('timestamps', { alias: 't', type: 'boolean', default: false, describe: 'Print the time of each line' })
      .example('$0 log tail web -n 100', 'the last 100 lines')
      .example('$0 log tail web --since 10m -f', 'what was written in the last ten minutes, and what follows')
      .example('$0 log tail web --json', 'one JSON object a line'),
  run: async (args) => {
    const query = new URLSearchParams({ follow: String(args.follow) });
    if (args.tail !== undefined) {
      if (!Number.isSafeInteger(args.tail) || args.tail < 0)
        throw new CommandFailure('--tail takes a whole number of lines, 0 or more', exitCodes.usage);
      query.set('tail', String(args.tail));
    }
    for (const name of ['since', 'until'] as const) {
      const text = args[name];
      if (text !== undefined) query.set(name, String(parseWhen(name, text)));
    }
    await callControl(args.runDir, 'logd', 'GET', `/logs/${encodeURIComponent(args.container)}`);
    await printLines(args, `/logs/${encodeURIComponent(args.container)}/read?${query}`);
  },
};

/** What `docker logs` takes, in nanoseconds since 1970; a time without a zone is one of this host. */
function parseWhen(option: string, text: string): bigint {
  const ago = findDurationMs(text);
  if (ago !== undefined) return BigInt(Math.round(Date.now() - ago)) * 1_000_000n;
  const time = parseTimestamp(text);
  if (time !== undefined) return time;
  const [, seconds, fraction = ''] = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  const local = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(text)
    ? Date.parse(text.includes('T') ? text : `${text}T00:00`)
    : Number.NaN;
  if (!Number.isNaN(local)) return BigInt(local) * 1_000_000n;
  throw new CommandFailure(
    `--${option} "${text}" is neither a time (RFC 3339, a date, seconds since 1970) nor a duration such as 10m`,
    exitCodes.usage,
  );
}

interface Line {
  readonly time: string;
  readonly stream: string;
  readonly text: string;
}

async function printLines(args: TailOptions, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const call = get({ socketPath: join(args.runDir, 'logd.sock'), path }, async (response) => {
    try {
      const { statusCode: status = 0 } = response;
      if (status !== 200) throw refusal({ status, body: parseBody(await text(response)) });
      for await (const line of createInterface({ input: response })) printLine(args, line);
      resolve();
    } catch (error) {
      const ended = 'cleat-logd has ended while the log was read; the log is there again when it is back';
      reject(response.complete ? error : new CommandFailure(ended, exitCodes.failed));
    }
  });
  call.on('error', reject);
  await promise;
}

function printLine(args: TailOptions, text: string): void {
  if (args.json) {
    process.stdout.write(`${text}\n`);
    return;
  }
  const line = JSON.parse(text) as Line;
  const target = line.stream === 'stderr' ? process.stderr : process.stdout;
  target.write(`${args.timestamps ? `${formatTimestamp(BigInt(line.time))} ` : ''}${line.text}`);
}

const checkCommand: Command<CheckOptions> = {
  command: 'check',
  describe: 'Try log options before use: what is wrong with them, or what they amount to',
  build: (yargs) =>
    yargs
      .option('driver', {
        type: 'string',
        demandOption: true,
        choices: logDrivers.map(({ name }) => name),
        describe: 'The log driver',
      })
      .option('log-opt', {
        type: 'string',
        array: true,
        default: [],
        describe: 'name=value, as for docker run; may be repeated',
      })
      .example('$0 log check --driver cleat-json-file --log-opt max-size=10m --log-opt max-file=3', 'rotation')
      .example(
        '$0 log check --driver cleat-syslog --log-opt syslog-address=tcp+tls://logs.example.org:6514',
        'a server',
      ),
  run: (args) => {
    const spec = logDrivers.find(({ name }) => name === args.driver);
    if (spec === undefined) throw new CommandFailure(`there is no log driver ${args.driver}`, exitCodes.usage);
    try {
      const { settings } = spec.prepare(sampleInfo(args.logOpt));
      if (args.json) print(args, settings, [], []);
      else process.stdout.write(`${formatTable(['SETTING', 'VALUE'], Object.entries(settings))}\n`);
    } catch (error) {
      if (error instanceof PluginError) throw new CommandFailure(error.line, exitCodes.failed);
      throw error;
    }
  },
};

/** A container for which templates and addresses can be tried. */
function sampleInfo(options: readonly string[]): LogInfo {
  const config = options.map((option): [string, string] => {
    const equals = option.indexOf('=');
    if (equals < 1) throw new CommandFailure(`--log-opt ${option} is not name=value`, exitCodes.usage);
    return [option.slice(0, equals), option.slice(equals + 1)];
  });
  return {
    config: Object.fromEntries(config),
    containerId: '0123456789abcdef'.repeat(4),
    containerName: '/example',
    containerEntrypoint: 'sh',
    containerArgs: ['-c', 'echo example'],
    containerImageId: `sha256:${'0123456789abcdef'.repeat(4)}`,
    containerImageName: 'busybox:latest',
    containerCreated: new Date().toISOString(),
    containerEnv: [],
    containerLabels: {},
    logPath: '',
    daemonName: 'docker',
  };
}

export const logCommand: Command<GlobalOptions> = {
  command: 'log <verb>',
  describe: 'Container logs: list, read, statistics, check of options',
  build: (yargs) =>
    yargs
      .command(
        [lsCommand, tailCommand, statsCommand, checkCommand].map((command) =>
          toYargs(command as Command<GlobalOptions>),
        ) as never,
      )
      .demandCommand(1, 'Say what to do with logs: ls, tail, stats or check'),
  run: () => {},
};
