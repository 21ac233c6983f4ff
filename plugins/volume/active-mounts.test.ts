import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dropEnded, dropStale, type Hold, holdVolume, markOld, podmanMountId, releaseVolume } from './active-mounts.ts';

const now = new Date('2026-01-01T00:00:00Z');
const later = new Date('2026-01-01T00:10:00Z');

const hold = (holds: readonly Hold[], id: string): readonly Hold[] => holdVolume(holds, id, now);
const release = (holds: readonly Hold[], id: string, inUse = false): readonly Hold[] =>
  releaseVolume(holds, id, inUse, now);
const counts = (holds: readonly Hold[]): string =>
  holds
    .map(({ id, count, old, adopted }) => `${id}=${count}${old ? ' old' : ''}${adopted ? ' adopted' : ''}`)
    .join(', ');

test('one mount, one unmount', () => {
  assert.is(counts(hold([], 'a')), 'a=1');
  assert.is(counts(release(hold([], 'a'), 'a')), '');
});

test('docker cp into a running container mounts and unmounts with the ID in use', () => {
  const running = hold([], 'a');
  assert.is(counts(hold(running, 'a')), 'a=2');
  assert.is(counts(release(hold(running, 'a'), 'a')), 'a=1');
});

test('an engine that was killed mounts the same ID again, and unmounts it once', () => {
  const restarted = markOld(hold([], 'a'), now);
  assert.is(counts(restarted), 'a=1 old');
  const started = hold(restarted, 'a');
  assert.is(counts(started), 'a=1 adopted');
  assert.is(counts(release(started, 'a')), '');
});

test('docker cp was running when the engine was killed: its count goes with the engine', () => {
  assert.is(counts(hold(markOld(hold(hold([], 'a'), 'a'), now), 'a')), 'a=1 adopted');
});

test('20.10 with live-restore: the release after docker cp is not believed while a container uses the volume', () => {
  const copied = release(hold(markOld(hold([], 'a'), now), 'a'), 'a', true);
  assert.is(counts(copied), 'a=1 old adopted');
  assert.is(counts(dropStale(copied, later, 60_000)), '');
});

test('28.5 with live-restore releases an old ID that it never mounted again', () => {
  assert.is(counts(release(markOld(hold([], 'a'), now), 'a')), '');
});

test('a release of one of two leaves the other, whoever uses the volume', () => {
  assert.is(counts(release(hold(hold([], 'a'), 'b'), 'a', true)), 'b=1');
});

test('unknown IDs change nothing', () => {
  const holds = hold([], 'a');
  assert.is(release(holds, 'z'), holds);
  assert.equal(release([], 'z'), []);
});

test('Podman has one ID for all and counts itself', () => {
  assert.is(counts(release(hold(hold([], podmanMountId), podmanMountId), podmanMountId)), '');
});

test('old holds are given time', () => {
  const old = markOld(hold([], 'a'), now);
  assert.is(counts(dropStale(old, new Date(now.getTime() + 59_999), 60_000)), 'a=1 old');
  assert.is(counts(dropStale(old, new Date(now.getTime() + 60_000), 60_000)), '');
  assert.is(counts(dropStale(hold([], 'a'), later, 60_000)), 'a=1', 'a hold that is not old stays');
});

test('marking twice keeps the first time', () => {
  assert.is(markOld(markOld(hold([], 'a'), now), later)[0]?.old, now.toISOString());
});

test('holds of a process are not old, and end with it', () => {
  const process = { pid: 7, startTicks: '1' };
  const holds = markOld(holdVolume([], 'cmd', now, process), now);
  assert.is(counts(holds), 'cmd=1');
  assert.is(dropEnded(holds, () => true).length, 1);
  assert.is(dropEnded(holds, () => false).length, 0);
});

test('without restarts it counts: whatever the order, what is held is what was not released', () => {
  const action = fc.record({ id: fc.constantFrom('a', 'b', 'c'), take: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const expected = new Map<string, number>();
      let holds: readonly Hold[] = [];
      for (const { id, take } of actions) {
        const before = expected.get(id) ?? 0;
        expected.set(id, take ? before + 1 : Math.max(0, before - 1));
        holds = take ? hold(holds, id) : release(holds, id);
      }
      const held = [...expected].filter(([, count]) => count > 0).map(([id, count]) => `${id}=${count}`);
      assert.equal(counts(holds).split(', ').filter(Boolean).sort(), held.sort());
    }),
  );
});

test.run();
