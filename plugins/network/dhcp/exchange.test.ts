import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { retransmissions } from './exchange.ts';
import { clientId4, duid6, iaidOf } from './identity.ts';

const middle = () => 0.5;

test('waits double up to the longest, and end with the duration or the count (RFC 8415 §15)', () => {
  assert.equal(
    [...retransmissions({ initialMs: 1000, maxMs: 5000, count: 5 }, middle)],
    [1000, 2000, 4000, 5000, 5000],
  );
  assert.equal(
    [...retransmissions({ initialMs: 10_000, maxMs: 600_000, durationMs: 36_000 }, middle)],
    [10_000, 20_000, 6000],
  );
  const [first = 0] = retransmissions({ initialMs: 1000, maxMs: 5000, count: 1 }, () => 0);
  assert.is(first, 900);
});

test('a named container is one client whatever its MAC; without a name the MAC is the client', () => {
  assert.equal(clientId4('web', '02:00:5e:00:53:01'), clientId4('web', '02:00:5e:00:53:02'));
  assert.not.equal(clientId4('web', '02:00:5e:00:53:01'), clientId4('db', '02:00:5e:00:53:01'));
  assert.is(clientId4(undefined, '02:00:5e:00:53:01').toString('hex'), '0102005e005301');
  assert.is(duid6(undefined, '02:00:5e:00:53:01').toString('hex'), '0003000102005e005301');
  assert.match(duid6('web', '02:00:5e:00:53:01').toString('hex'), /^0004[0-9a-f]{32}$/);
});

test('networks have associations of their own, and the same again when they are made anew', () => {
  const one = { parent: 'eth0', pool: '2001:db8::/64' };
  assert.is(iaidOf(one), iaidOf({ ...one }));
  assert.is.not(iaidOf(one), iaidOf({ ...one, parent: 'eth0.10' }));
});

test.run();
