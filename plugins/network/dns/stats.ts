/**
 * Counts of the hot path: plain numbers in arrays that are added to per query and read when somebody asks. Labels are joined only at
 * the time of reading (metrics.ts).
 */

export const outcomes = [
  'local',
  'cached',
  'forwarded',
  'nodata',
  'nxdomain',
  'refused',
  'failed',
  'malformed',
  'limited',
] as const;
export type Outcome = (typeof outcomes)[number];
export const outcomeIndex = Object.fromEntries(outcomes.map((name, index) => [name, index])) as Record<Outcome, number>;

/** Types that get a line of their own; everything else is `other`. */
export const countedTypes = ['A', 'AAAA', 'PTR', 'SRV', 'TXT', 'CNAME', 'HTTPS', 'ANY', 'other'] as const;
const typeIndex = new Uint8Array(65536).fill(countedTypes.length - 1);
for (const [index, code] of [1, 28, 12, 33, 16, 5, 65, 255].entries()) typeIndex[code] = index;

/** Upper ends of the latency buckets, seconds; from a packet's wake-up to its reply. */
export const latencyBuckets = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.3, 1, 5,
] as const;

export class Stats {
  /** By type and outcome: index = type * outcomes + outcome. */
  readonly queries = new Float64Array(countedTypes.length * outcomes.length);
  readonly latency = new Float64Array(latencyBuckets.length + 1);
  latencySum = 0;

  count(type: number, outcome: number): void {
    const at = typeIndex[type]! * outcomes.length + outcome;
    this.queries[at] = this.queries[at]! + 1;
  }

  /** `count` replies took `seconds` each. */
  took(seconds: number, count: number): void {
    let bucket = 0;
    while (bucket < latencyBuckets.length && seconds > latencyBuckets[bucket]!) bucket++;
    this.latency[bucket] = this.latency[bucket]! + count;
    this.latencySum += seconds * count;
  }
}
