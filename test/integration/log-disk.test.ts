/** Disks and data that are not as they should be: full, damaged, cut, with a lost index; FIFOs full of rubbish; limits by age and size. */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeLogFrame } from '../../plugins/sdk/index.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { requires } from '../support/requires.ts';

requires('root');

let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logdisk' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
});

test.after(() => host.close());

async function open(config: Readonly<Record<string, string>>, driver = 'cleat-json-file'): Promise<LogSession> {
  const session = openLogSession(logd, driver, logInfo(config));
  await session.start();
  return session;
}

function folderOf(session: LogSession): string {
  return join(logd.stateDir, 'log', session.info.containerId);
}

async function numbered(session: LogSession, from: number, to: number, text = ''): Promise<void> {
  const frames: Buffer[] = [];
  for (let number = from; number < to; number++) {
    const line = Buffer.from(`n ${number} ${text}`);
    frames.push(encodeLogFrame({ source: 'stdout', timeNano: 1_000_000_000n * BigInt(number), line, partial: false }));
  }
  await session.writeRaw(Buffer.concat(frames));
}

function numbers(lines: readonly string[]): number[] {
  return lines.flatMap((line) => (/^n \d+/.test(line) ? [Number(line.split(' ')[1])] : []));
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

for (const driver of ['cleat-json-file', 'cleat-syslog'] as const) {
  const remote = driver === 'cleat-syslog' ? { 'syslog-address': 'tcp://127.0.0.1:9' } : {};

  test(`${driver}: tail and since over rotated and compressed files, with and without the index`, async () => {
    // A spool keeps what is not sent, so only the json-file has compressed files here.
    const session = await open({ ...remote, 'max-size': '300k', 'max-file': '20', compress: 'true' }, driver);
    await numbered(session, 0, 20_000, 'x'.repeat(60));
    await session.stop();
    if (driver === 'cleat-json-file') {
      await eventually(
        'compressed',
        () => readdirSync(folderOf(session)).filter((name) => name.endsWith('.gz')).length >= 5,
      );
    }
    for (const round of ['with', 'without']) {
      for (const tail of [0, 1, 3000, 12_345, 20_000, 30_000]) {
        assert.equal(
          numbers(await session.lines({ tail })),
          range(Math.max(0, 20_000 - tail), 20_000),
          `${round} index: tail ${tail}`,
        );
      }
      for (const since of [0, 7000, 19_999, 25_000]) {
        const found = numbers(await session.lines({ sinceNano: BigInt(since) * 1_000_000_000n }));
        assert.equal(found, range(Math.min(since, 20_000), 20_000), `${round} index: since ${since}`);
      }
      const between = { sinceNano: 5000n * 1_000_000_000n, untilNano: 5009n * 1_000_000_000n };
      assert.equal(numbers(await session.lines(between)), range(5000, 5010));
      await host.sh(`find ${folderOf(session)} -name '*.idx' -delete`);
    }
  });

  test(`${driver}: damage costs what it hits, and is told`, async () => {
    const session = await open({ ...remote, 'max-size': '10m' }, driver);
    for (let part = 0; part < 30; part++) {
      await numbered(session, part * 100, (part + 1) * 100);
      await eventually('written', async () => numbers(await session.lines({ tail: 1 }))[0] === (part + 1) * 100 - 1, {
        everyMs: 2,
      });
    }
    await session.stop();
    const folder = driver === 'cleat-json-file' ? folderOf(session) : join(folderOf(session), 'journal');
    const name = readdirSync(folder).find((entry) => /json\.log$|\.journal$/.test(entry)) ?? '';
    const fd = openSync(join(folder, name), 'r+');
    const size = statSync(join(folder, name)).size;
    writeSync(fd, Buffer.alloc(500, 0), 0, 500, Math.floor(size / 2));
    closeSync(fd);
    const lines = await session.lines();
    const found = numbers(lines);
    assert.ok(found.length > 2500 && found.length < 3000, `${found.length} lines are left`);
    assert.is(found[0], 0);
    assert.is(found.at(-1), 2999);
    assert.ok(
      lines.some((line) => /^cleat: \d+ bytes of this log are damaged/.test(line)),
      'the reader is told',
    );
    truncateSync(join(folder, name), size - 5);
    assert.ok(numbers(await session.lines()).length > 2300);
    // Writing goes on behind the last sound record.
    const again = openLogSession(logd, driver, session.info);
    await again.start();
    await numbered(again, 3000, 3010);
    await again.stop();
    assert.equal(numbers(await again.lines({ tail: 10 })), range(3000, 3010));
  });

  test(`${driver}: rubbish on the FIFO is skipped and counted, entries around it arrive`, async () => {
    const session = await open({ ...remote }, driver);
    await numbered(session, 0, 10);
    await session.writeRaw(Buffer.from([0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff]));
    await numbered(session, 10, 20);
    await session.writeRaw(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
    await numbered(session, 20, 30);
    await session.writeRaw(Buffer.alloc(3000, 0));
    await numbered(session, 30, 40);
    // A frame that announces more than ever comes.
    await session.writeRaw(Buffer.from('00004000' + '0a06737464', 'hex'));
    await numbered(session, 40, 50);
    await eventually('all are there', async () => numbers(await session.lines()).length >= 50);
    await session.stop();
    assert.equal(numbers(await session.lines()), range(0, 50));
  });

  test(`${driver}: any bytes at all on the FIFO, any cutting of frames`, async () => {
    const session = await open({ ...remote }, driver);
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(60), async (rubbish, cut) => {
        await session.writeRaw(rubbish);
        await session.writeRaw(Buffer.alloc(0));
        const frame = encodeLogFrame({
          source: 'stdout',
          timeNano: 1n,
          line: Buffer.from(`n ${count++} `),
          partial: false,
        });
        await session.writeRaw(frame.subarray(0, cut));
        await session.writeRaw(frame.subarray(cut));
      }),
      { numRuns: 150 },
    );
    await session.write('n 999999 end');
    await eventually('the last one is there', async () => numbers(await session.lines({ tail: 1 })).at(-1) === 999_999);
    await session.stop();
    assert.is(numbers(await session.lines()).length, count + 1);
  });
}

test('json-file: a file that somebody empties begins again, for those who follow it too', async () => {
  const session = await open({ 'max-size': '2m', 'max-file': '3', compress: 'true' });
  const following = session.lines({ follow: true });
  await numbered(session, 0, 10_000);
  const file = join(folderOf(session), `${session.info.containerId}-json.log`);
  await eventually('written', async () => numbers(await session.lines({ tail: 1 }))[0] === 9999);
  truncateSync(file);
  await numbered(session, 10_000, 10_010);
  await eventually('written', async () => numbers(await session.lines({ tail: 1 }))[0] === 10_009);
  await numbered(session, 10_010, 40_000);
  await session.stop();
  await eventually('compressed', () => readdirSync(folderOf(session)).some((name) => name.endsWith('.gz')));
  const followed = numbers(await following).filter((number) => number >= 10_000);
  assert.equal(followed, range(10_000, 40_000));
  for (const tail of [1, 25_000, 40_000])
    assert.equal(
      numbers(await session.lines({ tail })),
      range(Math.max(10_000, 40_000 - tail), 40_000),
      `tail ${tail}`,
    );
  const since = await session.lines({ sinceNano: 20_000n * 1_000_000_000n });
  assert.equal(numbers(since), range(20_000, 40_000));
});

test('cleat log: what it prints, and the beginning of an id that two containers have', async () => {
  const { containerId } = logInfo({});
  const of = (end: string): string => `${containerId.slice(0, 40)}${end.repeat(24)}`;
  for (const end of ['a', 'b']) {
    const info = logInfo({}, { containerId: of(end), containerName: `/told-${end}` });
    const session = openLogSession(logd, 'cleat-json-file', info);
    await session.start();
    await numbered(session, 0, 20, end);
    await session.stop();
  }
  const tail = (...args: readonly string[]): Promise<string> => logd.cleat('log', 'tail', ...args);
  assert.is(await tail('told-a', '-n', '2'), 'n 18 a\nn 19 a');
  assert.is(await tail(of('b').slice(0, 41), '-n', '1', '-t'), '1970-01-01T00:00:19.000000000Z n 19 b');
  const until = ['--since', '1970-01-01T00:00:05Z', '--until', '1970-01-01T00:00:06Z'];
  assert.is(await tail('told-b', ...until), 'n 5 b\nn 6 b');
  assert.is(await tail('told-b', '--since', '5', '--until', '6.000000000'), 'n 5 b\nn 6 b');
  assert.is(await tail('told-b', '--since', '2001-01-01'), '');
  assert.is(await tail('told-b', '--until', '1970-01-02T00:00', '-n', '1'), 'n 19 b');
  assert.equal(JSON.parse(await tail('told-b', '-n', '1', '--json')), {
    time: '19000000000',
    stream: 'stdout',
    text: 'n 19 b\n',
  });
  const refused = (...args: readonly string[]): Promise<string> => tail(...args).catch((error: Error) => error.message);
  assert.match(await refused(containerId.slice(0, 40)), /2 containers that log here have an id like/);
  assert.match(await refused('nobody'), /no container "nobody" has a log here/);
  assert.match(await refused('told-a', '-n', 'many'), /--tail takes a whole number/);
  assert.match(
    await refused('told-a', '--since', 'yesterday'),
    /--since "yesterday" is neither a time .* nor a duration/,
  );
});

test('a line of a megabyte in pieces, empty lines, binary', async () => {
  const session = await open({});
  const id = 'cd'.repeat(32);
  for (let ordinal = 1; ordinal <= 64; ordinal++) {
    const partialLogMetadata = { id, ordinal, last: ordinal === 64 };
    await session.writeEntry({
      source: 'stdout',
      timeNano: 5n,
      line: Buffer.alloc(16384, 0x41 + (ordinal % 26)),
      partial: true,
      partialLogMetadata,
    });
  }
  await session.write('', '', Buffer.from(range(0, 256)));
  await session.stop();
  const text = Buffer.concat((await session.read()).map(({ line }) => Buffer.from(line)));
  assert.is(text.indexOf('\n'), 64 * 16384);
  assert.equal(text.subarray(64 * 16384 + 1, 64 * 16384 + 3), Buffer.from('\n\n'));
});

test('json-file: lines that belong together become one record, also over a kill', async () => {
  const session = await open({ 'multiline-indent': 'true', 'multiline-timeout': '10s' });
  await session.write('E1', '  a', '  b', 'E2');
  await eventually('the first event is complete', async () => (await session.lines()).length === 1);
  await logd.kill();
  await logd.start();
  await session.write(' c', 'E3', ' d');
  await session.stop();
  assert.equal(await session.lines(), ['E1\n  a\n  b', 'E2\n c', 'E3\n d']);
  const quick = await open({ 'multiline-start': '^E', 'multiline-timeout': '20ms' });
  await quick.write('E1', 'x');
  await eventually('the time is over', async () => (await quick.lines()).join() === 'E1\nx');
  await quick.write('y');
  await quick.stop();
  assert.equal(await quick.lines(), ['E1\nx', 'y']);
});

test('a full disk: the container goes on, the log says what is missing', async () => {
  const small = await createHost({ name: 'logfull' });
  try {
    await small.sh(`mkdir -p ${small.dir}/state && mount -t tmpfs -o size=3m tmpfs ${small.dir}/state`);
    const daemon = await startDaemon('logd', small, {
      config: { engines: [], 'max-total-size': '1g' },
      logLevel: 'info',
    });
    const session = openLogSession(daemon, 'cleat-json-file', logInfo({ 'max-size': '100m' }));
    await session.start();
    await numbered(session, 0, 8000, 'y'.repeat(1000));
    const filler = await session.lines().then((lines) => lines.length);
    assert.ok(filler < 8000);
    await daemon.cleat('log', 'stats');
    // Room comes back by the administrator's hand.
    await small.sh(`mount -o remount,size=60m ${small.dir}/state`);
    await numbered(session, 8000, 8010);
    assert.ok((await session.stop()) < 2000);
    const lines = await session.lines();
    const told = lines.reduce(
      (sum, line) => sum + Number(/^cleat: (\d+) lines? \(\d+ bytes\) dropped here: no space/.exec(line)?.[1] ?? 0),
      0,
    );
    assert.ok(told > 0);
    assert.is(numbers(lines).length + told, 8010, 'each line is there or told');
    assert.equal(numbers(lines).slice(-10), range(8000, 8010));
  } finally {
    await small.close();
  }
});

test('killed while the disk is full: what was dropped until then is told by the next process', async () => {
  const small = await createHost({ name: 'logfullkill' });
  try {
    await small.sh(`mkdir -p ${small.dir}/state && mount -t tmpfs -o size=3m tmpfs ${small.dir}/state`);
    const daemon = await startDaemon('logd', small, {
      config: { engines: [], 'max-total-size': '1g' },
      logLevel: 'info',
    });
    const session = openLogSession(daemon, 'cleat-json-file', logInfo({ 'max-size': '100m' }));
    const dropped = async (): Promise<number> => {
      const [log] = JSON.parse(await daemon.cleat('log', 'stats', session.info.containerId, '--json')) as {
        dropped?: number;
      }[];
      return log?.dropped ?? 0;
    };
    await session.start();
    let counted = 0;
    for (let round = 0; round < 3; round++) {
      await numbered(session, round * 4000, (round + 1) * 4000, 'y'.repeat(1000));
      await eventually('lines are dropped', async () => (await dropped()) > counted);
      await daemon.kill();
      await daemon.start();
      assert.ok((await dropped()) > counted, 'the count is still there');
      counted = await dropped();
    }
    await small.sh(`mount -o remount,size=60m ${small.dir}/state`);
    await numbered(session, 12_000, 12_010);
    assert.ok((await session.stop()) < 2000);
    const lines = await session.lines();
    const told = lines.reduce(
      (sum, line) => sum + Number(/^cleat: (\d+) lines? \(\d+ bytes\) dropped here: no space/.exec(line)?.[1] ?? 0),
      0,
    );
    assert.ok(told >= counted, 'what earlier processes dropped is told');
    assert.ok(new Set(numbers(lines)).size + told >= 12_010, 'each line is there or told');
    assert.equal(numbers(lines).slice(-10), range(12_000, 12_010));
  } finally {
    await small.close();
  }
});

test('SIGHUP: a smaller limit takes effect at once, a wrong file changes nothing, sessions go on', async () => {
  const other = await createHost({ name: 'loghup' });
  try {
    const daemon = await startDaemon('logd', other, { config: { engines: [] }, logLevel: 'info' });
    const configure = async (config: object): Promise<void> => {
      writeFileSync(join(other.dir, 'logd.json'), JSON.stringify(config));
      await daemon.signal('SIGHUP');
    };
    const session = openLogSession(daemon, 'cleat-json-file', logInfo({ 'max-size': '50k', 'max-file': '100' }));
    await session.start();
    await numbered(session, 0, 10_000, 'w'.repeat(30));
    await eventually('written', async () => numbers(await session.lines({ tail: 1 }))[0] === 9999);
    const total = async (): Promise<number> =>
      Number((await other.sh(`du -sb --exclude=index ${daemon.stateDir}/log`)).split('\t')[0]);
    const before = await total();
    await configure({ engines: [], 'max-total-size': 'nonsense' });
    await eventually('the wrong file is refused', () => /max-total-size=nonsense is not allowed/.test(daemon.log()));
    assert.is(await total(), before);
    await configure({ engines: [], 'max-total-size': '200k' });
    await eventually('the limit holds', async () => (await total()) < 280_000);
    await numbered(session, 10_000, 10_010);
    await session.stop();
    assert.equal(numbers(await session.lines({ tail: 10 })), range(10_000, 10_010));
  } finally {
    await other.close();
  }
});

test('max-age and the limit of the host', async () => {
  const aged = await open({ 'max-size': '20k', 'max-file': '50', 'max-age': '1h' });
  await numbered(aged, 0, 2000, 'z'.repeat(20));
  await aged.stop();
  const folder = folderOf(aged);
  const before = readdirSync(folder).filter((name) => name.includes('json.log.'));
  assert.ok(before.length > 3);
  const old = new Date(Date.now() - 2 * 3_600_000);
  const oldest = Math.max(...before.map((name) => Number(name.split('.').pop())));
  utimesSync(join(folder, `${aged.info.containerId}-json.log.${oldest}`), old, old);
  await host.run('curl', [
    '-s',
    '--fail',
    '-X',
    'POST',
    '--unix-socket',
    '/run/cleat/logd.sock',
    'http://cleat/retention',
  ]);
  assert.is(existsSync(join(folder, `${aged.info.containerId}-json.log.${oldest}`)), false, 'what is too old is gone');
  assert.is(numbers(await aged.lines()).at(-1), 1999, 'what is not, is not');

  await logd.stop();
  rmSync(folder, { recursive: true });
  const limited = await startDaemon('logd', host, {
    config: { engines: [], 'max-total-size': '200k' },
    logLevel: 'info',
  });
  const session = openLogSession(limited, 'cleat-json-file', logInfo({ 'max-size': '50k', 'max-file': '100' }));
  await session.start();
  await numbered(session, 0, 10_000, 'w'.repeat(30));
  await eventually('written', async () => numbers(await session.lines({ tail: 1 }))[0] === 9999);
  await host.run('curl', [
    '-s',
    '--fail',
    '-X',
    'POST',
    '--unix-socket',
    '/run/cleat/logd.sock',
    'http://cleat/retention',
  ]);
  const total = Number((await host.sh(`du -sb --exclude=index ${limited.stateDir}/log`)).split('\t')[0]);
  assert.ok(total < 280_000, `${total} bytes are left`);
  const left = numbers(await session.lines());
  assert.equal(left, range(left[0] ?? 0, 10_000), 'the newest lines are kept, without a gap');
  await session.stop();
  await limited.stop();
});

test.run();
