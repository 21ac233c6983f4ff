import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rulePlace } from './docker-user.ts';

test('behind the rules of the user, in front of the closing return', () => {
  assert.is(rulePlace([]), 1);
  assert.is(rulePlace(['-A DOCKER-USER -j RETURN']), 1);
  assert.is(rulePlace(['-A DOCKER-USER -s 192.0.2.9/32 -j DROP', '-A DOCKER-USER -j RETURN']), 2);
  assert.is(rulePlace(['-A DOCKER-USER -s 192.0.2.9/32 -j DROP']), 2);
});

test('once is enough', () => {
  const ours = '-A DOCKER-USER -m mark --mark 0x8000000/0x8000000 -m comment --comment cleat -j ACCEPT';
  assert.is(rulePlace([ours, '-A DOCKER-USER -j RETURN']), undefined);
});

test.run();
