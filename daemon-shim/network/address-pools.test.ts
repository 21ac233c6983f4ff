import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { freeSubnets } from './address-pools.ts';

const test = suite('default address pools');

test('subnets in order, without those that overlap', () => {
  const pools = [
    { base: '10.0.0.0/22', size: 24 },
    { base: '192.168.0.0/16', size: 20 },
    { base: 'fd00::/46', size: 48 },
  ];
  assert.deepEqual(
    [...freeSubnets(pools, false, ['10.0.1.128/25', '192.168.0.0/17', '192.168.192.0/18'])],
    [
      ...['10.0.0.0/24', '10.0.2.0/24', '10.0.3.0/24'],
      ...['192.168.128.0/20', '192.168.144.0/20', '192.168.160.0/20', '192.168.176.0/20'],
    ],
  );
  assert.deepEqual([...freeSubnets(pools, true, ['fd00:0:2::/48'])], ['fd00::/48', 'fd00:0:1::/48', 'fd00:0:3::/48']);
  assert.deepEqual([...freeSubnets(pools, false, ['0.0.0.0/0'])], []);
});

test.run();
