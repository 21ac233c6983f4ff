/** Ports that stay open between containers that are kept apart. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findLinkedPorts, linkRules } from './linked-ports.ts';

test('addresses and ports, one or several', () => {
  assert.equal(findLinkedPorts('192.0.2.5:80/tcp,192.0.2.6:53/udp'), [
    { address: '192.0.2.5', port: 80, protocol: 'tcp' },
    { address: '192.0.2.6', port: 53, protocol: 'udp' },
  ]);
  for (const wrong of [
    '',
    '192.0.2.5',
    '192.0.2.5:80',
    '192.0.2.5:0/tcp',
    '192.0.2.500:80/tcp',
    '192.0.2.5:80/icmp',
    'a,b',
    '192.0.2.5:80/tcp,',
  ]) {
    assert.is(findLinkedPorts(wrong), undefined, wrong);
  }
});

test('rules from the endpoint to each port', () => {
  const ports = findLinkedPorts('192.0.2.5:80/tcp') ?? [];
  assert.equal(linkRules('192.0.2.9/24', ports), [
    { kind: 'link', family: 4, from: '192.0.2.9', at: '192.0.2.5', protocol: 'tcp', first: 80, last: 80 },
  ]);
  assert.equal(linkRules(undefined, ports), []);
});

test.run();
