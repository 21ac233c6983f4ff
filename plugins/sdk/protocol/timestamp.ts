/** Times of RFC 3339 with nanoseconds, as Go writes them, to and from nanoseconds since 1970. */
const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/;
const NANOS_PER_MILLI = 1_000_000n;
const NANOS_PER_SECOND = 1_000_000_000n;

/** undefined when the text is no such time. */
export function parseTimestamp(text: string): bigint | undefined {
  const [, seconds, fraction = '', zone] = TIMESTAMP.exec(text) ?? [];
  const millis = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(millis)) return undefined;
  return BigInt(millis) * NANOS_PER_MILLI + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
}

/** In UTC, with all nine digits of the fraction. */
export function formatTimestamp(nanos: bigint): string {
  const fraction = ((nanos % NANOS_PER_SECOND) + NANOS_PER_SECOND) % NANOS_PER_SECOND;
  const seconds = new Date(Number((nanos - fraction) / NANOS_PER_MILLI)).toISOString().slice(0, 19);
  return `${seconds}.${fraction.toString().padStart(9, '0')}Z`;
}
