import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAddresses } from './address.ts';

const rules = {
  option: 'syslog-address',
  driver: 'cleat-syslog',
  protocols: ['udp', 'tcp', 'tcp+tls', 'unix'],
  defaultPort: 514,
};

test('addresses as Docker writes them', () => {
  const found = parseAddresses(
    'udp://127.0.0.1, TCP://logs.example.org:601,tcp+tls://[2001:db8::1]:6514/,unix:///run/x.sock,udp://:1514',
    rules,
  );
  assert.equal(
    found.map(({ protocol, host, port, path }) => [protocol, host, port, path]),
    [
      ['udp', '127.0.0.1', 514, ''],
      ['tcp', 'logs.example.org', 601, ''],
      ['tcp+tls', '2001:db8::1', 6514, ''],
      ['unix', '', 0, '/run/x.sock'],
      ['udp', 'localhost', 1514, ''],
    ],
  );
});

for (const wrong of [
  '',
  'logs.example.org:514',
  'http://x',
  'tcp://',
  'tcp://:',
  'tcp://x:0',
  'tcp://x:65536',
  'tcp://a:b',
  'unix://relative',
  'tcp://x,',
]) {
  test(`refuses "${wrong}"`, () =>
    assert.throws(() => parseAddresses(wrong, rules), /option syslog-address has the address/));
}

test('a port without default has to be given', () => {
  assert.throws(() => parseAddresses('udp://x', { ...rules, defaultPort: undefined }), /cannot be used/);
});

test.run();
