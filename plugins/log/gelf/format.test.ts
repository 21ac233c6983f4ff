import { randomBytes } from 'node:crypto';
import { gunzipSync, inflateSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type MessagePart, WireBatch } from '../delivery/message.ts';
import { streamSeverity } from '../delivery/severity.ts';
import { highHalf, lowHalf } from '../nano-time.ts';
import { GelfFormat, type GelfTransport } from './format.ts';

const time = 1_795_198_543_241_999_999n;
const extra = { _tag: 't', _container_id: 'c' };

function datagrams(transport: GelfTransport, line: Buffer, part?: MessagePart): Buffer[] {
  const batch = new WireBatch(16);
  const format = new GelfFormat({ transport, hostname: 'h', extra, severity: streamSeverity });
  format.add({ stderr: true, timeHigh: highHalf(time), timeLow: lowHalf(time), line, part }, batch);
  return batch.ends.map((end, index) => Buffer.from(batch.buffer.subarray(batch.ends[index - 1] ?? 0, end)));
}

/** Puts chunks together as the GELF specification says; written without a look at the encoder. */
function reassemble(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  assert.ok(first && chunks.length <= 128);
  const parts = new Map<number, Buffer>();
  for (const chunk of chunks) {
    assert.is(chunk.readUInt16BE(0), 0x1e0f);
    assert.equal(chunk.subarray(2, 10), first.subarray(2, 10));
    assert.is(chunk[11], chunks.length);
    assert.ok(chunk.length <= 1420);
    parts.set(chunk[10] ?? -1, chunk.subarray(12));
  }
  return Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, part]) => part));
}

const none: GelfTransport = { kind: 'udp', compression: 'none', level: 1 };

test('one line', () => {
  const [message] = datagrams({ kind: 'stream' }, Buffer.from('a<b>"\t\xff', 'latin1'));
  assert.is(
    message?.toString(),
    '{"version":"1.1","host":"h","short_message":"a\\u003cb\\u003e\\"\\t\uFFFD","timestamp":1795198543.241,"level":3,"_container_id":"c","_tag":"t"}\0',
  );
});

test('several lines: the first is short, all are full', () => {
  const [message = Buffer.alloc(0)] = datagrams(none, Buffer.from('one\n  two'));
  const value = JSON.parse(message.toString()) as Record<string, unknown>;
  assert.is(value['short_message'], 'one');
  assert.is(value['full_message'], 'one\n  two');
});

test('parts of a line', () => {
  const [message = Buffer.alloc(0)] = datagrams(none, Buffer.from('x'), { id: 'ab', ordinal: 2, last: false });
  const value = JSON.parse(message.toString()) as Record<string, unknown>;
  assert.equal(
    [value['_partial_message'], value['_partial_id'], value['_partial_ordinal'], value['_partial_last']],
    [true, 'ab', 2, false],
  );
});

test('compressed and in chunks', () => {
  const line = randomBytes(30_000).toString('hex');
  const shortMessage = (json: Buffer): unknown =>
    (JSON.parse(json.toString()) as Record<string, unknown>)['short_message'];
  assert.is(shortMessage(reassemble(datagrams(none, Buffer.from(line)))), line);
  assert.is(
    shortMessage(gunzipSync(reassemble(datagrams({ kind: 'udp', compression: 'gzip', level: 9 }, Buffer.from(line))))),
    line,
  );
  assert.is(
    shortMessage(inflateSync(reassemble(datagrams({ kind: 'udp', compression: 'zlib', level: 1 }, Buffer.from(line))))),
    line,
  );
  const small = datagrams({ kind: 'udp', compression: 'gzip', level: 1 }, Buffer.alloc(20_000, 'x'));
  assert.is(small.length, 1, 'what compression makes small needs no chunks');
});

test('what no number of chunks can carry is cut and says so', () => {
  const line = Buffer.from(randomBytes(400_000).toString('hex'));
  const value = JSON.parse(reassemble(datagrams(none, line)).toString()) as Record<string, unknown>;
  assert.is(value['_truncated'], true);
  assert.is(value['_original_length'], line.length);
  assert.ok(line.toString().startsWith(value['short_message'] as string));
  assert.ok((value['short_message'] as string).length > 150_000);
});

test('no empty lines, as Docker', () => assert.equal(datagrams(none, Buffer.alloc(0)), []));

test.run();
