/**
 * Conformance of a log plugin. Plays the engine: makes FIFOs, holds them open, writes entries, and reads them back where the
 * plugin can. Containers have identifiers of their own; what the plugin keeps of them is the plugin's business.
 */
import { randomBytes } from 'node:crypto';
import type { LogEntry, LogInfo, ReadConfig } from '../log-plugin.ts';
import { LogFrameDecoder } from '../protocol/log-frame-decoder.ts';
import { LogSession } from './log-session.ts';
import { type ContractReport, ContractRun, expect, NotApplicable } from './report.ts';
import { Subject, type SubjectOptions } from './subject.ts';
import { checkAlive, checkTransport } from './transport-checks.ts';

export interface LogSuiteOptions extends SubjectOptions {
  /** `--log-opt`, where the driver needs some. */
  readonly options?: Readonly<Record<string, string>>;
}

const CASES = {
  bodyless: 'LogDriver.Capabilities',
  needsBody: ['LogDriver.StartLogging', 'LogDriver.StopLogging'],
  wrongTypes: [
    ['LogDriver.StartLogging', { File: 5, Info: {} }],
    ['LogDriver.StartLogging', { File: '/nonexistent', Info: 'text' }],
    ['LogDriver.StartLogging', { File: 'relative', Info: { ContainerID: 'c'.repeat(64) } }],
    ['LogDriver.StartLogging', { File: '/nonexistent', Info: { ContainerID: ['c'] } }],
    ['LogDriver.StopLogging', { File: {} }],
  ],
} as const;

/** Tests the plugin behind the socket; the report has the reason for each failure. */
export async function testLogPlugin(options: LogSuiteOptions): Promise<ContractReport> {
  const subject = new Subject('log', options);
  const run = new ContractRun('log', options.socket, options.onResult);
  try {
    await checkTransport(run, subject, CASES);
    await new LogSuite(run, subject, options).run();
    await checkAlive(run, subject, CASES.bodyless);
  } finally {
    subject.close();
  }
  return run.report;
}

const entry = (line: string | Buffer, more: Partial<LogEntry> = {}): LogEntry => {
  return {
    source: 'stdout',
    timeNano: BigInt(Date.now()) * 1_000_000n,
    line: Buffer.from(line),
    partial: false,
    ...more,
  };
};

class LogSuite {
  readonly #run: ContractRun;
  readonly #subject: Subject;
  readonly #options: LogSuiteOptions;
  #canRead = false;

  constructor(run: ContractRun, subject: Subject, options: LogSuiteOptions) {
    this.#run = run;
    this.#subject = subject;
    this.#options = options;
  }

  async run(): Promise<void> {
    await this.#run.check('Capabilities answers, before every StartLogging', async () => {
      this.#canRead = (await this.#subject.client.log.capabilities()).readLogs;
    });
    await this.#sessions();
    await this.#reading();
    await this.#following();
  }

  #info(): LogInfo {
    const id = randomBytes(32).toString('hex');
    return {
      config: this.#options.options ?? {},
      containerId: id,
      containerName: `/cleat-contract-${id.slice(0, 8)}`,
      containerEntrypoint: 'sh',
      containerArgs: [],
      containerImageId: `sha256:${'0'.repeat(64)}`,
      containerImageName: 'busybox:test',
      containerCreated: new Date().toISOString(),
      containerEnv: [],
      containerLabels: {},
      logPath: '',
      daemonName: 'docker',
    };
  }

  /** A session that has ended when this returns. */
  async #session(info: LogInfo, body: (session: LogSession) => Promise<void>): Promise<void> {
    const session = await LogSession.start(this.#subject.client, info);
    try {
      await body(session);
    } finally {
      await session.stop();
    }
  }

  async #read(info: LogInfo, config: Partial<ReadConfig> = {}): Promise<LogEntry[]> {
    if (!this.#canRead) throw new NotApplicable('the plugin says ReadLogs: false');
    const entries: LogEntry[] = [];
    const decoder = new LogFrameDecoder((frame) => entries.push(frame.toLogEntry()));
    const signal = AbortSignal.timeout(this.#subject.timeLimitMs);
    const stream = this.#subject.client.log.readLogs({ info, config: { follow: false, ...config } }, signal);
    for await (const chunk of stream) decoder.push(chunk);
    expect(decoder.damages === 0, `ReadLogs sent ${decoder.skippedBytes} bytes that are no frames`);
    expect(decoder.pendingBytes === 0, 'the stream of ReadLogs ended inside a frame');
    return entries;
  }

  /** Entries may still be on their way from the FIFO when StopLogging has been answered. */
  async #readUntil(info: LogInfo, enough: number | ((entries: LogEntry[]) => boolean)): Promise<LogEntry[]> {
    const isEnough = typeof enough === 'number' ? (entries: LogEntry[]) => entries.length >= enough : enough;
    const deadline = performance.now() + this.#subject.timeLimitMs;
    for (;;) {
      const entries = await this.#read(info);
      if (isEnough(entries) || performance.now() > deadline) return entries;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #sessions(): Promise<void> {
    const { log } = this.#subject.client;
    await this.#run.check('StopLogging is answered while the engine still holds the FIFO open', () =>
      this.#session(this.#info(), async (session) => {
        session.write(entry('one line'));
        // Waiting for the end of the FIFO first would be a deadlock: the engine closes it after the reply.
        await log.stopLogging({ file: session.file });
      }),
    );
    await this.#run.check('StopLogging succeeds for an unknown file, also twice', async () => {
      const file = `/run/docker/logging/${randomBytes(32).toString('hex')}`;
      await log.stopLogging({ file });
      await log.stopLogging({ file });
    });
    await this.#run.check('null and missing fields of Info mean the same', async () => {
      const { containerId, containerName } = this.#info();
      const fifo = await LogSession.makeFifo();
      try {
        const opts = JSON.stringify(this.#options.options ?? null);
        const info = `{"Config":${opts},"ContainerID":"${containerId}","ContainerName":"${containerName}","ContainerEnv":null}`;
        const body = `{"File":"${fifo.file}","Info":${info}}`;
        const reply = await this.#subject.send({ method: 'LogDriver.StartLogging', body });
        expect(this.#subject.errorIn(reply) === undefined, `StartLogging was refused: ${reply.text}`);
        await log.stopLogging({ file: fifo.file });
      } finally {
        fifo.close();
      }
    });
    await this.#run.check('twelve sessions of different containers run at the same time', async () => {
      const infos = Array.from({ length: 12 }, () => this.#info());
      await Promise.all(
        infos.map((info, index) =>
          this.#session(info, async (session) => session.write(entry(`line of container ${index}`))),
        ),
      );
      if (!this.#canRead) return;
      for (const [index, info] of infos.entries()) {
        const lines = (await this.#readUntil(info, 1)).map(lineOf);
        expect(lines.length === 1, `container ${index} wrote one line, ReadLogs answered ${JSON.stringify(lines)}`);
        expect(lines[0] === `line of container ${index}\n`, `container ${index} got ${JSON.stringify(lines[0])}`);
      }
    });
    await this.#run.check('identifiers that are paths lead nowhere', async () => {
      const fifo = await LogSession.makeFifo();
      try {
        const info = `{"ContainerID":"../../cleat-contract-evil","ContainerName":"/x"}`;
        const body = `{"File":"${fifo.file}","Info":${info}}`;
        await this.#subject.expectRefusal(
          { method: 'LogDriver.StartLogging', body },
          'container identifiers are hex digits, and file names are made of them',
        );
      } finally {
        fifo.close();
      }
    });
  }

  async #reading(): Promise<void> {
    await this.#run.check('lines come back in order, unchanged, each with a newline', async () => {
      const info = this.#info();
      const lines = ['first', '', 'ünïcode ✓', 'with\ttab and "quotes"', ' ends with spaces  ', 'cr\r'];
      const sources = ['stdout', 'stderr'];
      await this.#session(info, async (session) => {
        for (const [index, line] of lines.entries()) session.write(entry(line, { source: sources[index % 2]! }));
      });
      const read = await this.#readUntil(info, lines.length);
      const got = JSON.stringify(read.map(lineOf));
      expect(got === JSON.stringify(lines.map((line) => `${line}\n`)), `wrote ${JSON.stringify(lines)}, read ${got}`);
      const readSources = read.map((one) => one.source).join();
      expect(readSources === 'stdout,stderr,stdout,stderr,stdout,stderr', `the sources are ${readSources}`);
    });
    await this.#run.check('times keep their nanoseconds', async () => {
      const info = this.#info();
      const timeNano = BigInt(Date.now()) * 1_000_000n + 123_457n;
      await this.#session(info, async (session) => session.write(entry('x', { timeNano })));
      const [first] = await this.#readUntil(info, 1);
      expect(first?.timeNano === timeNano, `wrote the time ${timeNano}, read ${first?.timeNano}`);
    });
    await this.#run.check(
      'pieces of a long line are joined or sent one by one, with one newline at the end',
      async () => {
        const info = this.#info();
        const piece = (last: boolean, ordinal: number, text: string) =>
          entry(text, { partial: true, partialLogMetadata: { last, id: 'a'.repeat(64), ordinal } });
        await this.#session(info, async (session) => {
          session.write(piece(false, 1, 'a'.repeat(16384)));
          session.write(piece(false, 2, 'b'.repeat(16384)));
          session.write(piece(true, 3, 'c'.repeat(700)));
          session.write(entry('next'));
        });
        const isLast = (entries: LogEntry[]) => entries.some((one) => lineOf(one) === 'next\n');
        const text = (await this.#readUntil(info, isLast)).map(lineOf).join('');
        const expected = `${'a'.repeat(16384)}${'b'.repeat(16384)}${'c'.repeat(700)}\nnext\n`;
        expect(text === expected, `a line of 33468 bytes and "next" came back as ${describeText(text)}`);
      },
    );
    await this.#run.check('Tail: -1 is all, 2 the last two, 0 none', async () => {
      const info = this.#info();
      await this.#session(info, async (session) => {
        for (let index = 0; index < 5; index += 1) session.write(entry(`line ${index}`));
      });
      await this.#readUntil(info, 5);
      for (const [tail, expected] of [[2, 'line 3\nline 4\n'] as const, [0, ''] as const, [100, undefined] as const]) {
        const text = (await this.#read(info, { tail })).map(lineOf).join('');
        const wanted = expected ?? 'line 0\nline 1\nline 2\nline 3\nline 4\n';
        expect(text === wanted, `Tail ${tail} of five lines answered ${describeText(text)}`);
      }
    });
    await this.#run.check('a session without entries, as docker logs makes one, leaves the log as it is', async () => {
      const info = this.#info();
      await this.#session(info, async (session) => session.write(entry('kept')));
      await this.#readUntil(info, 1);
      await this.#session(info, async () => {
        const during = (await this.#read(info)).map(lineOf).join('');
        expect(during === 'kept\n', `ReadLogs inside such a session answered ${describeText(during)}`);
      });
      const after = (await this.#read(info)).map(lineOf).join('');
      expect(after === 'kept\n', `after such a session, ReadLogs answered ${describeText(after)}`);
    });
    await this.#run.check('20 000 lines come back complete', async () => {
      const info = this.#info();
      const count = 20_000;
      await this.#session(info, async (session) => {
        for (let index = 0; index < count; index += 1) await session.writeAll(entry(`line number ${index}`));
      });
      const lines = (await this.#readUntil(info, count)).map(lineOf);
      const wrong = lines.findIndex((line, index) => line !== `line number ${index}\n`);
      expect(lines.length === count && wrong < 0, `${lines.length} of ${count} lines; the first wrong one is ${wrong}`);
    });
  }

  async #following(): Promise<void> {
    await this.#run.check('Follow sends new entries as they come and ends with the session', async () => {
      if (!this.#canRead) throw new NotApplicable('the plugin says ReadLogs: false');
      const info = this.#info();
      const session = await LogSession.start(this.#subject.client, info);
      const seen: string[] = [];
      let more = Promise.withResolvers<void>();
      const following = (async () => {
        const decoder = new LogFrameDecoder((frame) => {
          seen.push(lineOf(frame.toLogEntry()));
          more.resolve();
          more = Promise.withResolvers();
        });
        const signal = AbortSignal.timeout(this.#subject.timeLimitMs);
        const config = { follow: true };
        for await (const chunk of this.#subject.client.log.readLogs({ info, config }, signal)) decoder.push(chunk);
      })();
      try {
        for (const line of ['one', 'two', 'three']) {
          const before = seen.length;
          session.write(entry(line));
          while (seen.length === before) await Promise.race([more.promise, following]);
        }
      } finally {
        await session.stop();
      }
      await following.catch((error: unknown) => {
        const why =
          'the stream must end when the session ends: the engine does not end it, and docker logs -f would hang';
        expect(false, `following did not end after StopLogging and the end of the FIFO (${String(error)}); ${why}`);
      });
      expect(seen.join('') === 'one\ntwo\nthree\n', `following showed ${JSON.stringify(seen)}`);
    });
    await this.#run.check('a reader that leaves in the middle does no harm', async () => {
      if (!this.#canRead) throw new NotApplicable('the plugin says ReadLogs: false');
      const info = this.#info();
      await this.#session(info, async (session) => {
        session.write(entry('before'));
        const signal = AbortSignal.timeout(this.#subject.timeLimitMs);
        const stream = this.#subject.client.log.readLogs({ info, config: { follow: true } }, signal);
        for await (const _chunk of stream) break;
        session.write(entry('after'));
      });
      const text = (await this.#readUntil(info, 2)).map(lineOf).join('');
      expect(text === 'before\nafter\n', `after a reader left, the log reads ${describeText(text)}`);
    });
  }
}

function lineOf(one: LogEntry): string {
  return Buffer.from(one.line).toString();
}

function describeText(text: string): string {
  return text.length > 80 ? `${text.length} bytes` : JSON.stringify(text);
}
