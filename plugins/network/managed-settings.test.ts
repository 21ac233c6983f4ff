import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withSettings } from './managed-settings.ts';
import { readOverlayConfig } from './overlay/config.ts';

const settle = (config: Readonly<Record<string, unknown>>, env: Readonly<Record<string, string>>) =>
  readOverlayConfig(withSettings(config, env)['overlay']);

test('settings come before the file, empty ones leave it the word, and the scope is global', () => {
  const file = { overlay: { secret: 'a secret of two hosts', peers: ['192.0.2.1'], scope: 'local' }, dns: {} };
  const without = settle(file, { PEERS: '', ADDRESS: '' });
  assert.equal([without.peers, without.scope, without.address], [['192.0.2.1'], 'global', undefined]);
  const given = settle(file, { PEERS: '192.0.2.1, 192.0.2.2', ADDRESS: '192.0.2.2' });
  assert.equal([given.peers, given.address], [['192.0.2.1', '192.0.2.2'], '192.0.2.2']);
  assert.equal(withSettings(file, {})['dns'], {}, 'other parts stay');
  assert.is(settle({}, {}).scope, 'global');
});

test('etcd: the members by the setting, all else by the file', () => {
  const { etcd } = settle({ overlay: { etcd: { prefix: '/prod/' } } }, { ETCD: 'http://192.0.2.1:2379' });
  assert.equal([etcd?.endpoints, etcd?.prefix], [['http://192.0.2.1:2379'], '/prod/']);
});

test('what is no object is left for its reader to refuse', () => {
  assert.throws(() => settle({ overlay: 7 }, { PEERS: '192.0.2.1' }), /must be an object/);
  assert.throws(() => settle({ overlay: { etcd: 'x' } }, { ETCD: 'http://192.0.2.1:2379' }));
});

test.run();
