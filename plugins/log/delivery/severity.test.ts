import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lineSeverity } from './severity.ts';

const severity = (line: string, stderr = false): number =>
  lineSeverity({ stderr, timeHigh: 0, timeLow: 0, line: Buffer.from(line), part: undefined });

const lines: readonly (readonly [line: string, severity: number])[] = [
  ['<2>critical', 2],
  ['{"time":"x","level":"error","msg":"info"}', 3],
  ['{"level":50,"msg":"pino"}', 3],
  ['{"level":30}', 6],
  ['{"severity":"WARNING"}', 4],
  ['time=1 level=debug msg="an error"', 7],
  ['2026-11-20 18:15:40,123 ERROR [main] no', 3],
  ['[WARN] careful', 4],
  ['INFO: fine', 6],
  ['E1120 18:15:40.1 file.go:1] glog', 3],
  ['an ordinary line about an ERRORS table', 6],
  ['', 6],
];

for (const [line, expected] of lines) test(`${line} is ${expected}`, () => assert.is(severity(line), expected));

test('without a level the stream counts', () => assert.is(severity('oops', true), 3));

test.run();
