import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  compareTime,
  highHalf,
  lowHalf,
  nanosOf,
  Rfc3339NanoWriter,
  secondsOf,
  toBigInt,
  toMillis,
} from './nano-time.ts';

const nanos = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });

test('halves come together again and count the same seconds', () => {
  fc.assert(
    fc.property(nanos, (time) => {
      const [high, low] = [highHalf(time), lowHalf(time)];
      assert.is(toBigInt(high, low), time);
      assert.is(BigInt(nanosOf(high, low)), time % 1_000_000_000n);
      assert.is(BigInt(secondsOf(high, low)), time / 1_000_000_000n);
      assert.is(toMillis(high, low), Number(time / 1_000_000n));
    }),
  );
});

test('compares as the whole numbers do', () => {
  fc.assert(
    fc.property(nanos, nanos, (a, b) => {
      assert.is(Math.sign(compareTime(highHalf(a), lowHalf(a), highHalf(b), lowHalf(b))), a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('writes RFC3339Nano as Go does', () => {
  const writer = new Rfc3339NanoWriter();
  const text = (time: bigint): string => {
    const out = Buffer.alloc(40);
    return out.toString(
      'latin1',
      0,
      writer.write(new DataView(out.buffer, out.byteOffset, out.length), 0, highHalf(time), lowHalf(time)),
    );
  };
  const second = 1_795_191_696n * 1_000_000_000n;
  assert.is(text(second), '2026-11-20T16:21:36Z');
  assert.is(text(second + 1n), '2026-11-20T16:21:36.000000001Z');
  assert.is(text(second + 120_000_000n), '2026-11-20T16:21:36.12Z');
  assert.is(text(second + 977_163_986n), '2026-11-20T16:21:36.977163986Z');
  fc.assert(
    fc.property(fc.bigInt({ min: -5_000_000_000n, max: 5_000_000_000n }), (distance) => {
      const time = second + distance;
      const fraction = String(time % 1_000_000_000n)
        .padStart(9, '0')
        .replace(/0+$/, '');
      const whole = new Date(Number(time / 1_000_000n)).toISOString().slice(0, 19);
      assert.is(text(time), `${whole}${fraction === '' ? '' : `.${fraction}`}Z`);
    }),
  );
  assert.is(text(0n), '1970-01-01T00:00:00Z');
  assert.is(text(-1n), '1969-12-31T23:59:59.999999999Z');
});

test.run();
