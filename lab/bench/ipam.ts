/**
 * One RequestAddress of cleat-ipam, from the decision to the record on disk, against the least that it could cost: the same
 * record written to the same kind of database and synced. In a new pool, in one with 10 000 addresses, and in a /8 whose
 * addresses are taken and released in turns, so that the search meets holes everywhere.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CleatIpam } from '../../plugins/network/ipam/driver.ts';
import { Ledger } from '../../plugins/network/ipam/ledger.ts';
import { parseIpamConfig } from '../../plugins/network/ipam/options.ts';
import { openStore, type Store } from '../../plugins/store/store.ts';
import type { Bench, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';

const cases = [
  { variant: 'first', pool: '10.90.0.0/16', before: 0 },
  { variant: '10000th', pool: '10.91.0.0/16', before: 10_000 },
  { variant: 'holes', pool: '11.0.0.0/8', before: 20_000, release: 10_000 },
  { variant: 'ipv6', pool: 'fd00:90::/64', before: 10_000 },
] as const;

const request = { isGateway: false, serial: false, options: {} } as const;

export const bench: Bench = {
  name: 'ipam',
  about: 'time of one RequestAddress, record on disk included, against one synced write of such a record',
  rounds: 200,
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'cleat-bench-ipam-'));
    try {
      const figures: Figure[] = [];
      for (const each of cases) {
        context.say(`${each.variant}: ${each.before} addresses before`);
        using store = openStore(join(folder, `${each.variant}.db`));
        using peerStore = openStore(join(folder, `${each.variant}-peer.db`));
        figures.push(await measure(store, peerStore, each, context.rounds));
      }
      return figures;
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function measure(store: Store, peerStore: Store, each: (typeof cases)[number], rounds: number): Promise<Figure> {
  const config = parseIpamConfig({ quarantine: '1h' });
  const ledger = new Ledger(store, () => config);
  const driver = new CleatIpam({ ledger, config: () => config, hostBlocks: () => [], now: Date.now, onUse: () => {} });
  const { poolId } = await driver.requestPool({
    addressSpace: 'cleat-local',
    pool: each.pool,
    options: {},
    v6: each.pool.includes(':'),
  });
  await fill(store, driver, poolId, each.before, 'release' in each ? each.release : 0);
  const table = peerStore.table('peer', { version: 1 });
  const [sample] = store.rows('SELECT record FROM records WHERE tbl = ?', 'ipam-address');
  const record: unknown = sample === undefined ? { at: Date.now() } : JSON.parse(String(sample['record']));
  const samples = await interleave(rounds, {
    ours: () => timeMs(() => driver.requestAddress({ ...request, poolId })),
    peer: (round) => timeMs(async () => table.put(`${poolId} ${round}`, record)),
  });
  return { variant: each.variant, ours: median(samples.ours), peer: median(samples.peer), unit: 'ms' };
}

/** In one transaction: what is there before is not what is measured. */
async function fill(store: Store, driver: CleatIpam, poolId: string, count: number, release: number): Promise<void> {
  const given: Promise<{ readonly address: string }>[] = [];
  // The driver works from start to end without waiting, so the calls are done when the transaction is.
  store.transaction(() => {
    for (let index = 0; index < count; index++) given.push(driver.requestAddress({ ...request, poolId }));
  });
  const addresses = await Promise.all(given);
  const released: Promise<void>[] = [];
  store.transaction(() => {
    for (let index = 0; index < release; index++) {
      const address = addresses[index * 2]?.address.split('/')[0] ?? '';
      released.push(driver.releaseAddress({ poolId, address }));
    }
  });
  await Promise.all(released);
}
