import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WireBatch } from '../delivery/message.ts';
import { streamSeverity } from '../delivery/severity.ts';
import { highHalf, lowHalf } from '../nano-time.ts';
import { SyslogFormat, type SyslogFormatOptions, structuredElement } from './format.ts';

const time = 1_795_198_540_100_285_999n; // 2026-11-20T18:15:40.100285999Z
const options: SyslogFormatOptions = {
  format: '',
  framing: 'newline',
  facility: 3,
  hostname: 'host',
  tag: 'tag',
  processId: 7,
  structuredData: '-',
  severity: streamSeverity,
  maxBytes: Number.MAX_SAFE_INTEGER,
};

function format(given: Partial<SyslogFormatOptions>, line: string, stderr = false): string {
  const batch = new WireBatch(16);
  new SyslogFormat({ ...options, ...given }).add(
    { stderr, timeHigh: highHalf(time), timeLow: lowHalf(time), line: Buffer.from(line), part: undefined },
    batch,
  );
  return batch.buffer.toString('utf8', 0, batch.length);
}

process.env['TZ'] = 'UTC';

test('the four forms', () => {
  assert.is(format({}, 'text'), '<30>Nov 20 18:15:40 tag[7]: text\n');
  assert.is(format({ format: 'rfc3164' }, 'text', true), '<27>Nov 20 18:15:40 host tag[7]: text\n');
  assert.is(format({ format: 'rfc5424' }, 'text'), '<30>1 2026-11-20T18:15:40Z host tag 7 tag - text\n');
  assert.is(
    format({ format: 'rfc5424micro', facility: 23 }, 'x'),
    '<190>1 2026-11-20T18:15:40.100285Z host tag 7 tag - x\n',
  );
});

test('times of other zones carry their offset', () => {
  process.env['TZ'] = 'Asia/Kolkata';
  assert.is(format({ format: 'rfc5424' }, 'x'), '<30>1 2026-11-20T23:45:40+05:30 host tag 7 tag - x\n');
  process.env['TZ'] = 'UTC';
});

test('framing: a newline inside would end the message, a count does not mind', () => {
  assert.is(format({}, 'a\nb'), '<30>Nov 20 18:15:40 tag[7]: a#012b\n');
  assert.is(format({ framing: 'octet-counting' }, 'a\nb'), '32 <30>Nov 20 18:15:40 tag[7]: a\nb\n');
  assert.is(format({ framing: 'datagram' }, 'a\nb'), '<30>Nov 20 18:15:40 tag[7]: a\nb\n');
  assert.is(format({ framing: 'datagram', maxBytes: 40 }, 'x'.repeat(99)).length, 40);
});

test('no empty lines, as Docker', () => assert.is(format({}, ''), ''));

test('structured data is escaped as RFC 5424 §6.3.3 says', () => {
  assert.is(structuredElement('docker@32473', {}), '[docker@32473]');
  assert.is(structuredElement('a@1', { 'b c=]"': 'x"y\\z]é', a: '' }), '[a@1 a="" b_c___="x\\"y\\\\z\\]é"]');
});

test.run();
