import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { goDuration, nextHealth, planHealth } from './health.ts';
import type { HealthState } from './record.ts';

const starting: HealthState = { Status: 'starting', FailingStreak: 0, Log: [] };
const result = (exitCode: number) => ({ start: 'a', end: 'b', exitCode, output: '' });
const plan = { retries: 2, startingUp: false };

test('which checks there are', () => {
  assert.equal(planHealth(undefined, undefined), undefined);
  assert.equal(planHealth({ Test: [] }, undefined), undefined);
  assert.equal(planHealth({ Test: ['NONE'] }, undefined), undefined);
  assert.deepEqual(planHealth({ Test: ['CMD', 'a', 'b'], Interval: 2e9, Retries: 5 }, undefined), {
    command: ['a', 'b'],
    intervalMs: 2000,
    timeoutMs: 30_000,
    startPeriodMs: 0,
    startIntervalMs: 5000,
    retries: 5,
  });
  assert.deepEqual(planHealth({ Test: ['CMD-SHELL', 'a | b'] }, ['/bin/ash', '-c'])?.command, [
    '/bin/ash',
    '-c',
    'a | b',
  ]);
});

test('unhealthy after so many failures in a row, healthy after one success', () => {
  const once = nextHealth(starting, result(1), plan);
  assert.deepEqual([once.Status, once.FailingStreak], ['starting', 1]);
  const twice = nextHealth(once, result(1), plan);
  assert.deepEqual([twice.Status, twice.FailingStreak], ['unhealthy', 2]);
  const well = nextHealth(twice, result(0), plan);
  assert.deepEqual([well.Status, well.FailingStreak], ['healthy', 0]);
  assert.equal(nextHealth(well, result(1), plan).Status, 'healthy');
});

test('failures while starting up do not count, a success ends the starting', () => {
  const startingUp = { ...plan, startingUp: true };
  const failed = nextHealth(nextHealth(starting, result(1), startingUp), result(1), startingUp);
  assert.deepEqual([failed.Status, failed.FailingStreak, failed.Log.length], ['starting', 0, 2]);
  const well = nextHealth(failed, result(0), startingUp);
  assert.equal(nextHealth(well, result(1), startingUp).FailingStreak, 1);
});

test('five results are kept', () => {
  let state = starting;
  for (let code = 1; code <= 7; code += 1) state = nextHealth(state, result(code), plan);
  assert.deepEqual(
    state.Log.map(({ ExitCode }) => ExitCode),
    [3, 4, 5, 6, 7],
  );
});

test('durations as Go writes them', () => {
  assert.deepEqual([500, 1000, 1500, 90_000, 3_600_000].map(goDuration), ['500ms', '1s', '1.5s', '1m30s', '1h0m0s']);
});

test.run();
