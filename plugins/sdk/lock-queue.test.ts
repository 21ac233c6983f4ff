import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LockQueue } from './lock-queue.ts';
import type { Locks } from './protocol/method.ts';

const never = new AbortController().signal;

/** A task that runs until it is told to end, and says where it is. */
function controlled(queue: LockQueue, locks: Locks, signal = never) {
  const end = Promise.withResolvers<void>();
  let started = false;
  const done = queue.run(locks, signal, async () => {
    started = true;
    await end.promise;
  });
  return { end: () => end.resolve(), started: () => started, done };
}

test('calls for one key run one after another, in order; other keys run on', async () => {
  const queue = new LockQueue();
  const first = controlled(queue, { exclusive: ['a'] });
  const second = controlled(queue, { exclusive: ['a'] });
  const other = controlled(queue, { exclusive: ['b'] });
  await turn();
  assert.equal([first.started(), second.started(), other.started()], [true, false, true]);
  first.end();
  await first.done;
  await turn();
  assert.ok(second.started());
  second.end();
  other.end();
  await Promise.all([second.done, other.done]);
  assert.is(queue.size, 0);
});

test('shared holders run together, and an exclusive one waits for all of them', async () => {
  const queue = new LockQueue();
  const joins = ['e1', 'e2'].map((key) => controlled(queue, { shared: ['network'], exclusive: [key] }));
  const removal = controlled(queue, { exclusive: ['network'] });
  const later = controlled(queue, { shared: ['network'], exclusive: ['e3'] });
  await turn();
  assert.equal(
    [...joins, removal, later].map((one) => one.started()),
    [true, true, false, false],
  );
  joins[0]?.end();
  await turn();
  assert.is(removal.started(), false);
  joins[1]?.end();
  await turn();
  assert.equal([removal.started(), later.started()], [true, false]);
  removal.end();
  await turn();
  assert.ok(later.started());
  later.end();
  await later.done;
  assert.is(queue.size, 0);
});

test('a failure frees its keys', async () => {
  const queue = new LockQueue();
  await queue
    .run({ exclusive: ['a'] }, never, async () => {
      throw new Error('boom');
    })
    .then(
      () => assert.unreachable(),
      (error: Error) => assert.is(error.message, 'boom'),
    );
  assert.is(await queue.run({ exclusive: ['a'] }, never, async () => 'next'), 'next');
});

test('who gives up while waiting never starts, and those behind still wait for those before', async () => {
  const queue = new LockQueue();
  const abort = new AbortController();
  const first = controlled(queue, { exclusive: ['a'] });
  const second = controlled(queue, { exclusive: ['a'] }, abort.signal);
  const third = controlled(queue, { exclusive: ['a'] });
  abort.abort(new Error('too late'));
  await second.done.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'too late'),
  );
  await turn();
  assert.is(third.started(), false);
  first.end();
  await first.done;
  await turn();
  assert.equal([second.started(), third.started()], [false, true]);
  third.end();
  await third.done;
  assert.is(queue.size, 0);
});

test('no set of locks deadlocks, and exclusive keys are never held twice', async () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 });
  const locks = fc.record({ exclusive: keys, shared: keys });
  await fc.assert(
    fc.asyncProperty(fc.array(locks, { maxLength: 15 }), async (all) => {
      const queue = new LockQueue();
      const held = new Map<string, number>();
      const runs = all.map(({ exclusive, shared }) => {
        const only = shared.filter((key) => !exclusive.includes(key));
        return queue.run({ exclusive, shared: only }, never, async () => {
          for (const key of exclusive) {
            assert.is(held.get(key) ?? 0, 0);
            held.set(key, -1);
          }
          for (const key of only) {
            assert.ok((held.get(key) ?? 0) >= 0);
            held.set(key, (held.get(key) ?? 0) + 1);
          }
          await turn();
          for (const key of exclusive) held.set(key, 0);
          for (const key of only) held.set(key, (held.get(key) ?? 0) - 1);
        });
      });
      await Promise.all(runs);
      assert.is(queue.size, 0);
    }),
    { numRuns: 60 },
  );
});

test.run();
