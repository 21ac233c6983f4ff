import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Firewall } from './firewall.ts';
import type { NetworkRules } from './table.ts';

/** What reaches the kernel; it says no as often as asked to. Its rules are tested against the real one elsewhere. */
function recorder() {
  const texts: string[] = [];
  let refusals = 0;
  const firewall = new Firewall(
    {
      run: (text) => {
        texts.push(text);
        if (refusals > 0) {
          refusals -= 1;
          throw new Error('nft says no');
        }
      },
    },
    { info: () => {}, warn: () => {} },
  );
  return { firewall, texts, refuse: (count: number) => (refusals = count) };
}

const family = { pools: ['192.0.2.0/24'], inbound: 'nat', source: 'masquerade' } as const;
const network: NetworkRules = {
  key: 'abc',
  interfaceName: 'cl-abc',
  wholeInterface: true,
  internal: false,
  interContainer: true,
  ipv4: family,
  ipv6: { ...family, pools: [] },
  trustedInterfaces: [],
};
const element = { set: 'publish4', key: 'tcp . 80', data: '192.0.2.2 . 80' };

test('the first network writes the table whole, the last one takes it away', () => {
  const { firewall, texts } = recorder();
  firewall.putNetwork(network);
  assert.ok(texts[0]?.includes('table inet cleat {'));
  firewall.putElements('one', [element]);
  assert.is(texts[1], 'add element inet cleat publish4 { tcp . 80 : 192.0.2.2 . 80 }');
  firewall.removeElements('one');
  firewall.removeNetwork('abc');
  assert.is(texts.at(-1), 'add table inet cleat\ndelete table inet cleat');
});

test('a change that is refused is tried by writing everything', () => {
  const { firewall, texts, refuse } = recorder();
  firewall.putNetwork(network);
  refuse(1);
  firewall.putElements('one', [element]);
  assert.ok(texts.at(-1)?.includes('table inet cleat {') && texts.at(-1)?.includes('tcp . 80'));
});

test('what cannot be written at all is not wanted afterwards', () => {
  const { firewall, texts, refuse } = recorder();
  firewall.putNetwork(network);
  refuse(2);
  assert.throws(() => firewall.putElements('one', [element]), /the packet filter refused a change: nft says no/);
  firewall.rewrite();
  assert.not(texts.at(-1)?.includes('tcp . 80'));
});

test('a section of another service is in the table, and goes with an empty text', () => {
  const { firewall, texts } = recorder();
  firewall.putSection('dns', '  chain dns-output { }');
  assert.ok(texts.at(-1)?.includes('chain dns-output'));
  const count = texts.length;
  firewall.putSection('dns', '  chain dns-output { }');
  assert.is(texts.length, count, 'the same again is nothing');
  firewall.putSection('dns', '');
  assert.not(texts.at(-1)?.includes('dns-output'));
});

test('nothing to add and nothing to take away is no transaction', () => {
  const { firewall, texts } = recorder();
  firewall.putElements('one', []);
  firewall.removeElements('one');
  firewall.removeNetwork('abc');
  assert.equal(texts, []);
});

test.run();
