import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Patience } from './patience.ts';

test('an answer that came while this process was busy is not too late; one that does not come is', async () => {
  const patience = new Patience();
  const signal = patience.signal(200);
  const busyUntil = performance.now() + 400;
  while (performance.now() < busyUntil);
  // The answer is there, and is looked at after timers that are due.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.not(signal.aborted);
  while (!signal.aborted) await delay(20);
  assert.match(signal.reason.message, /no answer within 200 ms/);
  patience.close();
});

test.run();
