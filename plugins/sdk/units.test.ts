import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findDurationMs, findSize, formatDurationMs, formatSize } from './units.ts';

test('sizes are read as go-units reads them', () => {
  // The table of go-units' TestRAMInBytes.
  const good: Record<string, number> = {
    '32': 32,
    '32b': 32,
    '32B': 32,
    '32k': 32 * 1024,
    '32K': 32 * 1024,
    '32kb': 32 * 1024,
    '32Kb': 32 * 1024,
    '32Kib': 32 * 1024,
    '32KIB': 32 * 1024,
    '32Mb': 32 * 1024 ** 2,
    '32Gb': 32 * 1024 ** 3,
    '32Tb': 32 * 1024 ** 4,
    '32.3': 32,
    '32.3 mb': Math.trunc(32.3 * 1024 ** 2),
    '1.5k': 1536,
    '0.': 0,
    '.3kB': Math.trunc(0.3 * 1024),
  };
  for (const [text, bytes] of Object.entries(good)) assert.is(findSize(text), bytes, text);
  for (const text of [
    '',
    'hello',
    '-32',
    ' 32 ',
    '32 mib s',
    '32  mb',
    '32b.',
    '32bb',
    '32ib',
    '32kibb',
    '32x',
    '1e3',
    '0x10',
    '9p',
  ]) {
    assert.is(findSize(text), undefined, text);
  }
});

test('sizes are written in the shortest exact form', () => {
  assert.equal([0, 1000, 1024, 1536, 10 * 1024 ** 2, 1024 ** 3].map(formatSize), [
    '0',
    '1000',
    '1k',
    '1536',
    '10m',
    '1g',
  ]);
  fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (bytes) => findSize(formatSize(bytes)) === bytes));
});

test('durations are read as Go reads them', () => {
  const good: Record<string, number> = {
    '0': 0,
    '5s': 5000,
    '30s': 30_000,
    '1478s': 1_478_000,
    '-5s': -5000,
    '+5s': 5000,
    '5.0s': 5000,
    '5.6s': 5600,
    '5.s': 5000,
    '.5s': 500,
    '10ns': 1e-5,
    '11us': 0.011,
    '12µs': 0.012,
    '12μs': 0.012,
    '13ms': 13,
    '16h': 57_600_000,
    '3h30m': 12_600_000,
    '10.5s4m': 250_500,
    '1h2m3s4ms': 3_723_004,
  };
  for (const [text, milliseconds] of Object.entries(good)) {
    assert.ok(Math.abs((findDurationMs(text) ?? Number.NaN) - milliseconds) < 1e-6, text);
  }
  for (const text of ['', '3', '-', 's', '.', '-.', '.s', '+.s', '1d', '10', '1 s', '1h 2m', 'h']) {
    assert.is(findDurationMs(text), undefined, text);
  }
});

test('durations are written so that they are read back', () => {
  assert.equal([0, 250, 1500, 60_000, 5_400_000, 3_601_500].map(formatDurationMs), [
    '0',
    '250ms',
    '1.5s',
    '1m',
    '1h30m',
    '1h1.5s',
  ]);
  fc.assert(
    fc.property(fc.nat({ max: 10 ** 9 }), (milliseconds) => {
      assert.ok(Math.abs(findDurationMs(formatDurationMs(milliseconds))! - milliseconds) < 1e-6);
    }),
  );
});

test.run();
