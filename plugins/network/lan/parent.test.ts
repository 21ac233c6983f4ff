import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { splitVlan } from './parent.ts';

test('a dot and a number behind a name is a VLAN of it', () => {
  assert.equal(splitVlan('eth0.10'), { base: 'eth0', id: 10 });
  assert.equal(splitVlan('br.lan.4094'), { base: 'br.lan', id: 4094 });
  for (const name of ['eth0', 'eth0.', 'eth0.0', 'eth0.4095', '.10', 'eth0.1x'])
    assert.is(splitVlan(name), undefined, name);
});

test.run();
