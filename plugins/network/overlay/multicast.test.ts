import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { internetChecksum } from '../neighbour/checksum.ts';
import { igmpQuery } from './igmp.ts';
import { mldQuery } from './mld.ts';
import { groupsText, readGroupsText } from './multicast.ts';

test('groups as hosts tell them; what is no list of groups means all', () => {
  const groups = ['224.0.1.129', '239.255.255.250', 'ff02::fb', 'ff15::1:2'];
  assert.equal(readGroupsText(groupsText(groups)), groups);
  assert.equal(readGroupsText(groupsText([])), []);
  for (const text of [undefined, '10.0.0.1', '239.1.1.1,239.1.1.2', '239.1.1.256', '240.0.0.1', 'fe80::1', 'ff02::g'])
    assert.is(readGroupsText(text), undefined, text);
  assert.is(readGroupsText(Array.from({ length: 1001 }, () => '239.1.1.1').join(' ')), undefined);
});

test('queries, byte for byte', () => {
  // Sums over each part, RFC 1071: 0xffff.
  const expected = '46c000240000000001023a090a090001e000000194040000110aecb900000000023c0000';
  assert.is(igmpQuery('10.9.0.1').toString('hex'), expected);
  const addresses = `fe80${'0'.repeat(24)}0001ff02${'0'.repeat(24)}0001`;
  const icmp = `8200SUMS03e80000${'0'.repeat(32)}023c0000`;
  const sum = (text: string) => internetChecksum(Buffer.from(text, 'hex')).toString(16).padStart(4, '0');
  const checksum = sum(`${addresses}0000001c0000003a${icmp.replace('SUMS', '0000')}`);
  const packet = `6000000000240001${addresses}3a00050200000100${icmp.replace('SUMS', checksum)}`;
  assert.is(mldQuery('fe80::1').toString('hex'), packet);
});

test.run();
