/** Points in time with nanoseconds, as the Engine API shows them. */

/** Nanoseconds since 1970. */
export type Timestamp = bigint;

const startNano = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
let correction = 0n;

/** Now; follows the system clock, with the fraction of the millisecond from the monotonic one, and never goes back. */
export function now(): Timestamp {
  const estimate = startNano + correction + process.hrtime.bigint();
  const clock = BigInt(Date.now()) * 1_000_000n;
  const drift = clock - estimate;
  if (drift > 2_000_000n || drift < -2_000_000n) {
    correction += drift;
    return clock;
  }
  return estimate;
}

/** RFC 3339 with nanoseconds, trailing zeros cut as Go does: `2026-11-20T16:21:36.416671004Z`. */
export function formatTimestamp(at: Timestamp): string {
  const seconds = new Date(Number(at / 1_000_000n)).toISOString().slice(0, 19);
  const fraction = String(at % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`;
}
