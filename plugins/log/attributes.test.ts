import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogInfo } from '../sdk/log-plugin.ts';
import { findAttributes, redactInfo } from './attributes.ts';

const info = (config: Readonly<Record<string, string>>): LogInfo => ({
  config,
  containerId: 'c',
  containerName: '/c',
  containerEntrypoint: '',
  containerArgs: [],
  containerImageId: '',
  containerImageName: '',
  containerCreated: '',
  containerEnv: ['A=1', 'AB=x=y', 'SECRET=s', 'EMPTY=', 'bare'],
  containerLabels: { a: 'l', 'com.example/team': 't', A: 'label' },
  logPath: '',
  daemonName: 'docker',
});

const results: readonly (readonly [
  config: Readonly<Record<string, string>>,
  attributes: Readonly<Record<string, string>>,
])[] = [
  [{}, {}],
  [
    { labels: 'a,none', env: 'AB,EMPTY,bare' },
    { a: 'l', AB: 'x=y', EMPTY: '' },
  ],
  [
    { 'labels-regex': '^com\\.', 'env-regex': '^A' },
    { 'com.example/team': 't', A: '1', AB: 'x=y' },
  ],
  [{ labels: 'A', env: 'A' }, { A: '1' }],
  [{ 'env-regex': '(?i)^secret$' }, { SECRET: 's' }],
  [{ 'labels-regex': '^[[:lower:]]$' }, { a: 'l' }],
  [{ labels: '__proto__,constructor' }, {}],
];

for (const [config, attributes] of results) {
  test(JSON.stringify(config), () => assert.equal(findAttributes(info(config), 'cleat-gelf'), attributes));
}

test('what was not asked for is not kept', () => {
  const kept = redactInfo(info({ env: 'AB', labels: 'a' }), 'cleat-gelf');
  assert.equal(kept.containerEnv, ['AB=x=y']);
  assert.equal(kept.containerLabels, { a: 'l' });
  assert.not.match(JSON.stringify(redactInfo(info({}), 'cleat-gelf')), /SECRET|"s"/);
});

test('a pattern that is none names its option', () => {
  assert.throws(
    () => findAttributes(info({ 'env-regex': '(' }), 'cleat-gelf'),
    /option env-regex=\( is no regular expression/,
  );
});

test.run();
