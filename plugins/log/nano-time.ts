import { ShortText } from './short-text.ts';

/**
 * Nanoseconds since 1970 as two unsigned 32-bit halves of an int64: what the wire's varint gives, without a BigInt for every
 * line. Times before 1970 have the top bit set and sort last; no engine sends them.
 */

const nanosPerSecond = 1_000_000_000n;

export function toBigInt(high: number, low: number): bigint {
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
}

export function highHalf(nanos: bigint): number {
  return Number(BigInt.asUintN(32, nanos >> 32n));
}

export function lowHalf(nanos: bigint): number {
  return Number(BigInt.asUintN(32, nanos));
}

/** Whole milliseconds since 1970, rounded down. */
export function toMillis(high: number, low: number): number {
  return high < 0x80000000
    ? Math.floor(secondsOf(high, low) * 1000 + Math.floor(nanosOf(high, low) / 1e6))
    : Number(toBigInt(high, low) / 1_000_000n);
}

/** Negative, 0 or positive, as a comparison wants it. */
export function compareTime(highA: number, lowA: number, highB: number, lowB: number): number {
  return highA - highB || lowA - lowB;
}

/** The part below one second. Exact without BigInt: 2^32 mod 1e9 is 294967296, and every product stays below 2^53. */
export function nanosOf(high: number, low: number): number {
  if (high >= 0x80000000) return Number(((toBigInt(high, low) % nanosPerSecond) + nanosPerSecond) % nanosPerSecond);
  const upper = Math.floor(high / 32768);
  const lower = high % 32768;
  return (((upper * 294967296) % 1e9) * 32768 + lower * 294967296 + low) % 1e9;
}

export function secondsOf(high: number, low: number): number {
  if (high >= 0x80000000) {
    const nanos = toBigInt(high, low);
    return Number((nanos - BigInt(nanosOf(high, low))) / nanosPerSecond);
  }
  return Math.round((high * 4294967296 + low - nanosOf(high, low)) / 1e9);
}

const digits = Buffer.from(
  Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0')).join(''),
  'latin1',
);

/** Writes times as Go's RFC3339Nano in UTC: no trailing zeros in the fraction, no fraction when it is 0. */
export class Rfc3339NanoWriter {
  /** When the second of `#prefix` begins, as halves whose lower one may be negative. */
  #high = Number.NaN;
  #low = Number.NaN;
  #prefix = new ShortText('');

  /** 20 to 30 bytes. */
  write(out: DataView, at: number, high: number, low: number): number {
    let nanos = (high - this.#high) * 4294967296 + low - this.#low;
    if (!(nanos >= 0 && nanos < 1e9)) {
      nanos = nanosOf(high, low);
      this.#high = high;
      this.#low = low - nanos;
      this.#prefix = new ShortText(`${new Date(secondsOf(high, low) * 1000).toISOString().slice(0, 19)}.`);
    }
    this.#prefix.write(out, at);
    let cursor = at + 19;
    if (nanos > 0) {
      const micros = (nanos / 1000) | 0;
      const millis = (micros / 1000) | 0;
      put3(out, cursor + 1, millis);
      put3(out, cursor + 4, micros - millis * 1000);
      put3(out, cursor + 7, nanos - micros * 1000);
      cursor += 10;
      while (out.getUint8(cursor - 1) === 48) cursor--;
    }
    out.setUint8(cursor, 0x5a);
    return cursor + 1;
  }
}

function put3(out: DataView, at: number, number: number): void {
  const digit = number * 3;
  out.setUint8(at, digits[digit]!);
  out.setUint8(at + 1, digits[digit + 1]!);
  out.setUint8(at + 2, digits[digit + 2]!);
}
