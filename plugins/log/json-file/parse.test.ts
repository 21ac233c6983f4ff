import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogEntry } from '../../sdk/log-plugin.ts';
import { LogFrameDecoder } from '../../sdk/protocol/log-frame-decoder.ts';
import { encodeLogFrame, LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import { JsonFileEncoder } from './format.ts';
import { JsonFileScanner } from './parse.ts';

function write(entries: readonly LogEntry[], attributes = ''): Buffer {
  const encoder = new JsonFileEncoder(attributes);
  const scanner = new LogFrameScanner();
  const out: Buffer[] = [];
  for (const entry of entries) {
    const frame = encodeLogFrame(entry);
    scanner.reset(frame, 0, frame.length);
    assert.ok(scanner.next());
    const record = Buffer.alloc(encoder.bound(scanner.frame));
    out.push(record.subarray(0, encoder.write(record, 0, scanner.frame)));
  }
  return Buffer.concat(out);
}

function read(data: Buffer): { readonly entries: LogEntry[]; readonly damaged: number } {
  const scanner = new JsonFileScanner();
  scanner.reset(data, 0, data.length, true);
  const batch = new LogFrameBatch();
  while (scanner.next()) scanner.addTo(batch);
  const entries: LogEntry[] = [];
  new LogFrameDecoder((frame) => entries.push(frame.toLogEntry())).push(batch.take());
  return { entries, damaged: scanner.damagedBytes };
}

const entry = (line: string, more: Partial<LogEntry> = {}): LogEntry => ({
  source: 'stdout',
  timeNano: 1_795_191_696_977_163_986n,
  line: Buffer.from(line),
  partial: false,
  ...more,
});

test('records as Docker writes them', () => {
  const piece = { partial: true, partialLogMetadata: { id: 'a', ordinal: 1, last: false } };
  const entries = [
    entry('out'),
    entry('', { source: 'stderr' }),
    entry('piece', piece),
    entry('', piece),
    entry('x', { source: 'own"' }),
  ];
  assert.equal(write(entries, '{"a":"é"}').toString().split('\n'), [
    '{"log":"out\\n","stream":"stdout","attrs":{"a":"é"},"time":"2026-11-20T16:21:36.977163986Z"}',
    '{"log":"\\n","stream":"stderr","attrs":{"a":"é"},"time":"2026-11-20T16:21:36.977163986Z"}',
    '{"log":"piece","stream":"stdout","attrs":{"a":"é"},"time":"2026-11-20T16:21:36.977163986Z"}',
    '{"stream":"stdout","attrs":{"a":"é"},"time":"2026-11-20T16:21:36.977163986Z"}',
    '{"log":"x\\n","stream":"own\\"","attrs":{"a":"é"},"time":"2026-11-20T16:21:36.977163986Z"}',
    '',
  ]);
});

test('what was written reads back, whatever is in the line', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          line: fc.string({ unit: 'binary', maxLength: 120 }),
          stderr: fc.boolean(),
          time: fc.bigInt({ min: 0n, max: 2n ** 62n }),
        }),
        { maxLength: 4 },
      ),
      (given) => {
        const entries = given.map(({ line, stderr, time }) =>
          entry(line.replaceAll('\n', ''), { source: stderr ? 'stderr' : 'stdout', timeNano: time }),
        );
        const { entries: found, damaged } = read(write(entries, '{"log":"x","stream":"stderr","time":"y"}'));
        assert.is(damaged, 0);
        const shown = (list: readonly LogEntry[], newline: string) =>
          list.map(({ line, timeNano }) => `${timeNano} ${Buffer.from(line).toString().toWellFormed()}${newline}`);
        assert.equal(shown(found, ''), shown(entries, '\n'));
      },
    ),
    { numRuns: 40 },
  );
});

test('other layouts of the same JSON are read as well', () => {
  const lines =
    '{"time":"2026-11-20T16:21:36.5Z","stream":"stdout","log":"a\\tb\\ud83d\\ude00\\n"}\n{"log":"\\b\\n","time":"1970-01-01T00:00:01Z","stream":"stdout"}\n';
  const { entries } = read(Buffer.from(lines));
  assert.equal(
    entries.map(({ line }) => Buffer.from(line).toString()),
    ['a\tb😀\n', '\b\n'],
  );
  assert.equal(
    entries.map(({ timeNano }) => timeNano),
    [1_795_191_696_500_000_000n, 1_000_000_000n],
  );
});

test('what is no record is passed over', () => {
  const good = write([entry('good')]);
  for (const bad of [
    'rubbish\n',
    '{"log":"torn{"log":"x\\n","stream":"stdout","time":"2026-11-20T16:21:36Z"}\n',
    '{"log":"\0\0"}\n',
    '\n',
    '{"log":"no end',
  ]) {
    const { entries, damaged } = read(Buffer.concat([good, Buffer.from(bad)]));
    assert.is(entries.length, 1, bad);
    assert.is(damaged, bad.length, bad);
  }
});

test.run();
