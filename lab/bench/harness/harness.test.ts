import { test } from 'uvu';
import { equal, is, throws } from 'uvu/assert';
import { ratioOf } from './bench.ts';
import { interleave, median } from './interleave.ts';
import { closingLines } from './report.ts';

test('the median of odd and even counts', () => {
  is(median([3, 1, 2]), 2);
  is(median([4, 1, 3, 2]), 2.5);
  throws(() => median([]));
});

test('both take turns, the first round is not counted, and values stay with their owner', async () => {
  const order: string[] = [];
  const samples = await interleave(2, {
    async ours(round) {
      order.push(`ours ${round}`);
      return 10 + round;
    },
    async peer(round) {
      order.push(`peer ${round}`);
      return 20 + round;
    },
  });
  equal(order, ['peer -1', 'ours -1', 'ours 0', 'peer 0', 'peer 1', 'ours 1']);
  equal(samples, { ours: [10, 11], peer: [20, 21] });
});

test('a ratio is cost by cost, for a rate the inverse, and absent without a peer', () => {
  is(ratioOf({ variant: 'a', ours: 1, peer: 4, unit: 'ms' }), 0.25);
  is(ratioOf({ variant: 'a', ours: 4, peer: 1, unit: 'Gbit/s', rate: true }), 0.25);
  is(ratioOf({ variant: 'a', ours: 4, peer: undefined, unit: 'ms' }), undefined);
});

test('the closing lines', () => {
  const figures = [
    { variant: 'run-1', ours: 300, peer: 310, unit: 'ms' },
    { variant: 'own', ours: 1.5, peer: undefined, unit: 'ms' },
  ];
  equal(closingLines('attach', figures), ['attach-run-1 ratio 0.968']);
});

test.run();
