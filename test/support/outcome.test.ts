import { test } from 'uvu';
import { equal } from 'uvu/assert';
import { readOutcome } from './outcome.ts';

const table = (total: number, passed: number, skipped: number): string =>
  `\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1.00ms\n\n`;
const end = (output: string, code: number | null = 0, timedOut = false) => ({ code, output, timedOut, ms: 2000 });

test('a passing file', () => {
  equal(readOutcome(end(table(3, 3, 0))), { passed: 3, failed: 0, skipped: 0, reasons: [] });
});

test('failures are the difference, skipped ones are beside the total', () => {
  equal(readOutcome(end(table(3, 1, 2), 1)), { passed: 1, failed: 2, skipped: 2, reasons: [] });
});

test('a file that executes nothing fails', () => {
  equal(readOutcome(end('')), { passed: 0, failed: 1, skipped: 0, reasons: [], broken: 'ran no test' });
});

test('a file that skips aloud gives its reason', () => {
  const outcome = readOutcome(end('# skip: needs ipvlan: Unknown device type\n'));
  equal(outcome, { passed: 0, failed: 0, skipped: 1, reasons: ['needs ipvlan: Unknown device type'] });
});

test('a crash after the table and a time-out are failures', () => {
  equal(readOutcome(end(table(3, 3, 0), null)).broken, 'ended with a signal');
  equal(readOutcome(end(table(3, 3, 0), 1)).failed, 1);
  equal(readOutcome(end('', null, true)).broken, 'ended after 2 s, its limit');
});

test.run();
