import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { concat, linkNameKey, portKey, protocolKey } from './elements.ts';

test('parts of a concatenation are in network order and filled up to 4 bytes each', () => {
  assert.is(concat(protocolKey(17), portKey(53)).toString('hex'), '1100000000350000');
  assert.is(concat(Buffer.from([10, 0, 0, 2]), portKey(8080)).toString('hex'), '0a0000021f900000');
  assert.is(concat().length, 0);
});

test('names of links are 16 bytes, filled with zeros', () => {
  assert.is(linkNameKey('eth0').toString('hex'), '65746830000000000000000000000000');
  assert.throws(() => linkNameKey('sixteen-chars-xx'), /longer than 15/);
});

test('a port that is none is refused', () => {
  assert.throws(() => portKey(65_536), RangeError);
});

test.run();
