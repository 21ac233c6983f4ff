/** What `docker volume inspect` shows under Status. Pure; secrets are masked here and nowhere later. */
import type { VolumeHealth } from './health.ts';
import { maskOptions } from './mask.ts';
import type { VolumeRecord } from './records.ts';

export interface StatusFacts {
  readonly labels: Readonly<Record<string, string>>;
}

export function describeStatus(
  record: VolumeRecord,
  health: VolumeHealth | undefined,
  { labels, ...facts }: StatusFacts,
): Record<string, unknown> {
  const { usage, lastError, note } = health ?? {};
  return {
    health: health?.health ?? 'idle',
    since: (health?.since ?? new Date(record.createdAt)).toISOString(),
    holders: record.holds.map(({ id, count, since, old, process }) => ({
      id,
      count,
      since,
      ...(old === undefined ? {} : { unconfirmedSince: old }),
      ...(process === undefined ? {} : { pid: process.pid }),
    })),
    options: maskOptions(record.options),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...facts,
    ...(usage === undefined ? {} : describeUsage(usage)),
    ...(note === undefined ? {} : { note }),
    ...(lastError === undefined ? {} : { lastError: { at: lastError.at.toISOString(), message: lastError.message } }),
  };
}

function describeUsage({
  usedBytes,
  usedInodes,
  limitBytes,
  limitInodes,
  at,
}: NonNullable<VolumeHealth['usage']>): Record<string, unknown> {
  const pair = (bytes: number | undefined, inodes: number | undefined): Record<string, number> => ({
    ...(bytes === undefined ? {} : { bytes }),
    ...(inodes === undefined ? {} : { inodes }),
  });
  const limit = pair(limitBytes, limitInodes);
  return {
    used: pair(usedBytes, usedInodes),
    ...(Object.keys(limit).length === 0 ? {} : { limit }),
    measuredAt: at.toISOString(),
  };
}
