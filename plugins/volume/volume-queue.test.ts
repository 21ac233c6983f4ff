import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { VolumeQueue } from './volume-queue.ts';

test('one after another under one key, side by side under two, whatever fails', async () => {
  const queue = new VolumeQueue();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = queue.run('a', async () => {
    log.push('a1');
    await gate.promise;
    throw new Error('failed');
  });
  const second = queue.run('a', async () => void log.push('a2'));
  await queue.run('b', async () => void log.push('b1'));
  assert.equal(log, ['a1', 'b1']);
  gate.resolve();
  await first.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'failed'),
  );
  await second;
  assert.equal(log, ['a1', 'b1', 'a2']);
});

test('idle waits for what is queued meanwhile', async () => {
  const queue = new VolumeQueue();
  let done = false;
  void queue.run('a', async () => {
    void queue.run('a', async () => {
      done = true;
    });
  });
  await queue.idle();
  assert.ok(done);
});

test.run();
