import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Pace } from './pace.ts';

test('a pipe that fills fast is looked at soon, one that fills slowly later', async () => {
  const pace = new Pace();
  await delay(2);
  pace.found(100 << 20);
  assert.is(pace.pauseMs(), 1);
  await delay(2);
  pace.found(1);
  assert.is(pace.pauseMs(), 5);
});

test('what several turns found counts together', async () => {
  const pace = new Pace();
  await delay(2);
  pace.found(100 << 20);
  pace.found(1);
  assert.is(pace.pauseMs(), 1);
});

test('nothing at all says nothing of the rate', () => {
  assert.is(new Pace().pauseMs(), 1);
});

test.run();
