import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { iptablesChains, readPresent, removeText, restoreText } from './iptables-text.ts';
import type { NetworkRules, PortRule, WantedRules } from './rules.ts';

const network: NetworkRules = {
  key: 'abc',
  interfaceName: 'cl-abc',
  wholeInterface: true,
  internal: false,
  interContainer: true,
  ipv4: { pools: ['192.0.2.0/24', '198.51.100.0/24'], inbound: 'nat', source: 'masquerade' },
  ipv6: { pools: ['2001:db8::/64'], inbound: 'routed', source: 'keep' },
  trustedInterfaces: ['eth1', 'eth2'],
};
const span = { protocol: 'tcp', first: 8080, last: 8080 } as const;
const ports: PortRule[] = [
  { kind: 'publish', family: 4, ...span, to: { address: '192.0.2.2', port: 80 } },
  {
    kind: 'publish',
    family: 4,
    at: '203.0.113.1',
    protocol: 'udp',
    first: 53,
    last: 53,
    to: { address: '192.0.2.2', port: 53 },
  },
  { kind: 'publish', family: 4, protocol: 'sctp', first: 9000, last: 9009, to: { address: '192.0.2.2', port: 9000 } },
  { kind: 'loopback', family: 6, ...span },
  { kind: 'proxied', family: 6, at: '2001:db8:1::1', ...span },
  { kind: 'open', family: 6, at: '2001:db8::2', ...span },
];
const wanted: WantedRules = { networks: [network], ports, proxyPort: 40000 };
const linesOf = (family: 4 | 6, table: 'raw' | 'mangle' | 'nat' | 'filter', chain: string, what = wanted) =>
  iptablesChains(family, what).get(table)?.get(chain) ?? [];

test('published ports: one address first, then every address of the host; a range keeps its numbers', () => {
  assert.equal(linesOf(4, 'nat', 'CLEAT-PUBLISHED'), [
    '-d 203.0.113.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 192.0.2.2:53',
    '-m addrtype ! --dst-type LOCAL -j RETURN',
    '-p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80',
    '-p sctp -m sctp --dport 9000:9009 -j DNAT --to-destination 192.0.2.2',
  ]);
  assert.equal(linesOf(6, 'nat', 'CLEAT-PUBLISHED'), [
    '-d 2001:db8:1::1/128 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 40000',
    '-m addrtype ! --dst-type LOCAL -j RETURN',
    '-d ::1/128 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 40000',
    '-d ::1/128 -j RETURN',
  ]);
  const { proxyPort: _, ...without } = wanted;
  assert.not(linesOf(6, 'nat', 'CLEAT-PUBLISHED', without).join().includes('REDIRECT'));
});

test('a rule with several subnets or interfaces is several; what a family has not is left out', () => {
  assert.equal(linesOf(4, 'nat', 'CLEAT-leave-abc'), [
    '-o cl-abc -j RETURN',
    '-s 192.0.2.0/24 -j MASQUERADE',
    '-s 198.51.100.0/24 -j MASQUERADE',
  ]);
  assert.equal(linesOf(6, 'nat', 'CLEAT-leave-abc'), ['-o cl-abc -j RETURN']);
  assert.equal(linesOf(6, 'filter', 'CLEAT-to-abc'), [
    '-m conntrack --ctstate RELATED,ESTABLISHED -g CLEAT-ADMIT',
    '-m conntrack --ctstate DNAT -g CLEAT-ADMIT',
    '-p ipv6-icmp -g CLEAT-ADMIT',
    '-j CLEAT-OPEN',
    '-i eth1 -g CLEAT-ADMIT',
    '-i eth2 -g CLEAT-ADMIT',
    '-j DROP',
  ]);
  assert.equal(linesOf(6, 'filter', 'CLEAT-OPEN'), ['-d 2001:db8::2/128 -p tcp -m tcp --dport 8080 -g CLEAT-ADMIT']);
  assert.equal(linesOf(6, 'raw', 'CLEAT-GUARD'), []);
});

test('what one network admits is not judged by the next', () => {
  assert.equal(linesOf(4, 'filter', 'CLEAT-FORWARD'), [
    '-j MARK --set-xmark 0x0/0x8000000',
    '-i cl-abc -j CLEAT-from-abc',
    '-m mark --mark 0x8000000/0x8000000 -j RETURN',
    '-o cl-abc -g CLEAT-to-abc',
    '-i cl-abc -g CLEAT-outside-abc',
  ]);
});

test('a bridge that was there before: only our addresses lead into the chains', () => {
  const foreign = { networks: [{ ...network, wholeInterface: false }], ports: [] };
  const lines = linesOf(4, 'filter', 'CLEAT-FORWARD', foreign);
  assert.ok(lines.includes('-i cl-abc -s 192.0.2.0/24 -j CLEAT-from-abc'));
  assert.ok(lines.includes('-o cl-abc -d 198.51.100.0/24 -g CLEAT-to-abc'));
  assert.equal(linesOf(4, 'raw', 'CLEAT-GUARD', foreign), []);
});

const save = `*filter
:FORWARD DROP [0:0]
:CLEAT-FORWARD - [0:0]
:CLEAT-from-old - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j CLEAT-FORWARD
-A CLEAT-FORWARD -i cl-old -j CLEAT-from-old
COMMIT
`;

test('a jump that is not the first rule any more is moved, chains of networks that are gone are deleted', () => {
  const text = restoreText(4, wanted, readPresent(save));
  const filter = text.slice(text.indexOf('*filter'));
  assert.ok(filter.includes('\n-D FORWARD -j CLEAT-FORWARD\n-I FORWARD 1 -j CLEAT-FORWARD\n'));
  assert.ok(filter.includes('\n:CLEAT-from-old - [0:0]\n'));
  assert.ok(filter.endsWith('-X CLEAT-from-old\nCOMMIT\n'));
  const good = readPresent(save.replace('-A FORWARD -j DOCKER-USER\n', ''));
  assert.not(restoreText(4, wanted, good).includes('-I FORWARD'));
});

test('a fingerprint tells every change of ours and none of others', () => {
  const { fingerprint } = readPresent(save);
  assert.is(readPresent(`# comment\n${save.replace('DROP [0:0]', 'DROP [7:9]')}`).fingerprint, fingerprint);
  assert.is(readPresent(save.replace('COMMIT', '-A DOCKER-USER -j RETURN\nCOMMIT')).fingerprint, fingerprint);
  assert.is.not(readPresent(save.replace('cl-old', 'cl-new')).fingerprint, fingerprint);
  assert.is.not(readPresent(save.replace('-A FORWARD -j DOCKER-USER\n', '')).fingerprint, fingerprint);
});

test('removal takes jumps, rules and chains, and is nothing where there is nothing', () => {
  assert.is(
    removeText(readPresent(save)),
    '*filter\n-D FORWARD -j CLEAT-FORWARD\n-F CLEAT-FORWARD\n-F CLEAT-from-old\n-X CLEAT-FORWARD\n-X CLEAT-from-old\nCOMMIT\n',
  );
  assert.is(removeText(readPresent('*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n')), '');
});

test.run();
