/** `docker container prune`: whatever does not run. */
import { ApiError } from '../api/api-error.ts';
import { type Filters, matchesLabels } from '../api/filters.ts';
import { parseUntil } from '../api/until.ts';
import type { Engine } from '../engine.ts';
import { now } from '../timestamp.ts';
import { upperBytes } from './disk-usage.ts';
import { removeContainer } from './remove.ts';

export const containerPruneFilters = ['label', 'label!', 'until'] as const;

export interface PrunedContainers {
  readonly ContainersDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

export async function pruneContainers(engine: Engine, filters: Filters): Promise<PrunedContainers> {
  const until = filters.get('until')?.map(parseUntil)[0];
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const container of engine.containers.list()) {
    const { record, state } = container;
    const excluded = filters.get('label!');
    if (container.isRunning || state.status === 'restarting' || state.status === 'removing') continue;
    if (until !== undefined && Date.parse(record.created) > until) continue;
    if (!matchesLabels(filters.get('label'), record.config.Labels)) continue;
    if (excluded !== undefined && matchesLabels(excluded, record.config.Labels)) continue;
    const bytes = await upperBytes(engine, container);
    const gone = await removeContainer(engine, container, { force: false, volumes: false }).then(
      () => true,
      (error: unknown) => {
        // Started or removed meanwhile.
        if (error instanceof ApiError && error.statusCode < 500) return false;
        throw error;
      },
    );
    if (!gone) continue;
    deleted.push(record.id);
    reclaimed += bytes;
  }
  engine.events.emit({
    Type: 'container',
    Action: 'prune',
    Actor: { ID: '', Attributes: { reclaimed: String(reclaimed) } },
    at: now(),
  });
  return { ContainersDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed };
}
