import { createHook } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Patience } from './patience.ts';

/** An answer that never comes. */
const silence = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

/** How it failed. The deadlines alone keep no process alive. */
async function failure(waiting: Promise<unknown>): Promise<string> {
  let words: string | undefined;
  waiting.catch((error: Error) => {
    words = error.message;
  });
  while (words === undefined) await delay(20);
  return words;
}

/** A round of the event loop. */
const round = () => new Promise((resolve) => setImmediate(resolve));

test('an answer that came while this process was busy is not too late; one that does not come is', async () => {
  const patience = new Patience();
  let late = false;
  const waiting = patience.wait(200, (signal) => {
    signal.addEventListener('abort', () => {
      late = true;
    });
    return silence(signal);
  });
  const failed = failure(waiting);
  const busyUntil = performance.now() + 400;
  while (performance.now() < busyUntil);
  // The answer is there, and is looked at after timers that are due.
  await round();
  await round();
  assert.not(late);
  assert.match(await failed, /no answer within 200 ms/);
});

test('nothing runs on behind a call that has ended, and a call beside it keeps its deadline', async () => {
  const timers = new Set<number>();
  const hook = createHook({
    init: (id, type) => void (type === 'Timeout' && timers.add(id)),
    destroy: (id) => void timers.delete(id),
  });
  hook.enable();
  try {
    const patience = new Patience();
    const first = Promise.withResolvers<string>();
    const second = Promise.withResolvers<string>();
    const answers = [first, second].map(({ promise }) => patience.wait(60_000, () => promise));
    const refused = patience.wait(60_000, () => Promise.reject(new Error('refused')));
    assert.is(await refused.catch((error: Error) => error.message), 'refused');
    first.resolve('one');
    assert.is(await answers[0], 'one');
    await round();
    assert.is(timers.size, 1, 'somebody waits still');
    second.resolve('two');
    assert.is(await answers[1], 'two');
    await round();
    await round();
    assert.is(timers.size, 0, 'nobody waits');
    assert.match(await failure(patience.wait(50, silence)), /no answer within 50 ms/);
  } finally {
    hook.disable();
  }
});

test.run();
