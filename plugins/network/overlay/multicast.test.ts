import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { igmpQuery } from './igmp.ts';
import { groupsText, readGroupsText } from './multicast.ts';

test('groups as hosts tell them; what is no list of groups means all', () => {
  const groups = ['224.0.1.129', '239.255.255.250'];
  assert.equal(readGroupsText(groupsText(groups)), groups);
  assert.equal(readGroupsText(groupsText([])), []);
  for (const text of [undefined, '10.0.0.1', '239.1.1.1,239.1.1.2', '239.1.1.256', '240.0.0.1', 'ff02::1'])
    assert.is(readGroupsText(text), undefined, text);
  assert.is(readGroupsText(Array.from({ length: 1001 }, () => '239.1.1.1').join(' ')), undefined);
});

test('a query, byte for byte', () => {
  // Sums over each part, RFC 1071: 0xffff.
  const expected = '46c000240000000001023a090a090001e000000194040000110aecb900000000023c0000';
  assert.is(igmpQuery('10.9.0.1').toString('hex'), expected);
});

test.run();
