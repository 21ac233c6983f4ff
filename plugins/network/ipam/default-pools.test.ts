import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cidr, cidrHasCidr, cidrsOverlap, formatCidr, parseCidr, subnetAt } from '../address/cidr.ts';
import { findFreeBlock } from './default-pools.ts';

const pools = [
  { base: parseCidr('10.200.0.0/24'), size: 26 },
  { base: parseCidr('192.168.200.0/25'), size: 26 },
];
const find = (taken: string[], size?: number): string | undefined => {
  const found = findFreeBlock(pools, taken.map(parseCidr), size);
  return found && formatCidr(found);
};

test('takes the first block that overlaps nothing', () => {
  assert.is(find([]), '10.200.0.0/26');
  assert.is(find(['10.200.0.0/26']), '10.200.0.64/26');
  assert.is(find(['10.200.0.70/32', '10.200.0.1/32']), '10.200.0.128/26');
  assert.is(find(['10.0.0.0/8']), '192.168.200.0/26', 'a wider route takes the whole base');
  assert.is(find(['10.200.0.0/24', '192.168.200.0/26']), '192.168.200.64/26');
  assert.is(find(['10.0.0.0/8', '192.168.0.0/16']), undefined);
  assert.is(find(['fd00::/8']), '10.200.0.0/26', 'the other family does not matter');
});

test('another size is cut from the same bases', () => {
  assert.is(find([], 24), '10.200.0.0/24');
  assert.is(find(['10.200.0.9/32'], 25), '10.200.0.128/25');
  assert.is(find([], 23), undefined, 'larger than every base');
});

test('uses every block once, then says that none is left', () => {
  const base = parseCidr('10.200.0.0/20');
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 63 }), { maxLength: 64 }), (indexes) => {
      const foreign = indexes.map((index) => subnetAt(base, 26, BigInt(index)));
      const taken: Cidr[] = [...foreign];
      for (let count = foreign.length; count < 64; count++) {
        const found = findFreeBlock([{ base, size: 26 }], taken)!;
        assert.ok(cidrHasCidr(base, found));
        assert.not(taken.some((other) => cidrsOverlap(found, other)));
        taken.push(found);
      }
      assert.is(findFreeBlock([{ base, size: 26 }], taken), undefined);
    }),
    { numRuns: 30 },
  );
});

test('blocks of a /48 of unique local addresses', () => {
  const base = parseCidr('fd12:3456:789a::/48');
  const first = findFreeBlock([{ base, size: 64 }], [])!;
  assert.is(formatCidr(first), 'fd12:3456:789a::/64');
  assert.is(formatCidr(findFreeBlock([{ base, size: 64 }], [first])!), 'fd12:3456:789a:1::/64');
});

test.run();
