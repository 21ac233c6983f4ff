/**
 * What a start does beyond reading the records: after a reboot no container has its address any more, so the allocations of
 * endpoints become released ones, kept for their owners, whatever the engine still remembers to release. A restart of the
 * daemon alone changes nothing: containers went on running.
 */
import type { Logger } from 'pino';
import type { AddressChange, Ledger, PoolEntry } from './ledger.ts';

export interface RestoreParts {
  readonly ledger: Ledger;
  readonly bootId: string;
  readonly log: Logger;
  readonly now: () => number;
  readonly drawUniqueLocal: () => string;
}

/** Returns the host's own range of unique local addresses. */
export function releaseAfterReboot({ ledger, bootId, log, now, drawUniqueLocal }: RestoreParts): string {
  const before = ledger.host;
  if (before?.bootId === bootId) return before.uniqueLocal;
  const host = { bootId, uniqueLocal: before?.uniqueLocal ?? drawUniqueLocal() };
  if (before !== undefined) {
    const work = ledger
      .pools()
      .filter((entry) => entry.record.space === 'cleat-local')
      .map((entry) => [entry, releases(entry, now())] as const);
    // The host's record comes last: a crash in between only makes the next start do this again.
    ledger.changeAll(work);
    const count = work.reduce((sum, [, changes]) => sum + changes.length, 0);
    if (count > 0)
      log.info({ addresses: count }, 'addresses released: the host was started again since they were given');
  }
  ledger.host = host;
  return host.uniqueLocal;
}

function releases(entry: PoolEntry, now: number): AddressChange[] {
  const changes: AddressChange[] = [];
  for (const [value, record] of entry.pool.entries()) {
    if (record.state === 'allocated' && record.kind === 'endpoint')
      changes.push([value, entry.pool.chooseRelease(value, now)]);
  }
  return changes;
}
