import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Firewall } from './firewall.ts';
import { NftWriter } from './nft-writer.ts';
import type { NetworkRules, PortRule } from './rules.ts';

/** What reaches the kernel; it says no as often as asked to. Its rules are tested against the real one elsewhere. */
function recorder() {
  const texts: string[] = [];
  let refusals = 0;
  const run = (text: string) => {
    texts.push(text);
    if (refusals > 0) {
      refusals -= 1;
      throw new Error('nft says no');
    }
  };
  const firewall = new Firewall(new NftWriter({ run, close: () => {} }), { info: () => {}, warn: () => {} });
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
const port: PortRule = {
  kind: 'publish',
  family: 4,
  protocol: 'tcp',
  first: 80,
  last: 80,
  to: { address: '192.0.2.2', port: 80 },
};

test('the first network writes the table whole, the last one takes it away', () => {
  const { firewall, texts } = recorder();
  firewall.putNetwork(network);
  assert.ok(texts[0]?.includes('table inet cleat {'));
  firewall.putPorts('one', [port]);
  assert.is(texts[1], 'add element inet cleat publish4 { tcp . 80 : 192.0.2.2 . 80 }');
  firewall.removePorts('one');
  firewall.removeNetwork('abc');
  assert.is(texts.at(-1), 'add table inet cleat\ndelete table inet cleat');
});

test('a change that is refused is tried by writing everything', () => {
  const { firewall, texts, refuse } = recorder();
  firewall.putNetwork(network);
  refuse(1);
  firewall.putPorts('one', [port]);
  assert.ok(texts.at(-1)?.includes('table inet cleat {') && texts.at(-1)?.includes('tcp . 80'));
});

test('what cannot be written at all is not wanted afterwards', () => {
  const { firewall, texts, refuse } = recorder();
  firewall.putNetwork(network);
  refuse(2);
  assert.throws(() => firewall.putPorts('one', [port]), /the packet filter refused a change: nft says no/);
  firewall.rewrite();
  assert.not(texts.at(-1)?.includes('tcp . 80'));
});

test('nothing to add and nothing to take away is no transaction', () => {
  const { firewall, texts } = recorder();
  firewall.putPorts('one', []);
  firewall.removePorts('one');
  firewall.removeNetwork('abc');
  assert.equal(texts, []);
});

test.run();
