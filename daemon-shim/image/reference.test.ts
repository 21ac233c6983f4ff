import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { matchesReference, normalizeReference } from './reference.ts';

const test = suite('image references');

test('one form for every spelling', () => {
  const forms: Readonly<Record<string, string>> = {
    busybox: 'busybox:latest',
    'busybox:1.36': 'busybox:1.36',
    'docker.io/library/busybox': 'busybox:latest',
    'docker.io/some/thing:x': 'some/thing:x',
    'localhost:5000/a/b': 'localhost:5000/a/b:latest',
    'example.org/a_b/c-d:V1.0': 'example.org/a_b/c-d:V1.0',
  };
  for (const [given, normal] of Object.entries(forms)) assert.equal(normalizeReference(given), normal);
});

test('what is no reference is refused in Docker’s words', () => {
  assert.throws(() => normalizeReference('Busybox'), /must be lowercase/);
  for (const wrong of ['', 'a b', 'a:', ':a', 'a//b', '-a', 'a@sha256:1', '../a']) {
    assert.throws(() => normalizeReference(wrong), /invalid reference format/, wrong);
  }
});

test('patterns of the reference filter', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['busybox:latest', 'busybox', true],
    ['busybox:latest', 'busy*', true],
    ['busybox:latest', 'busy*:l?test', true],
    ['some/thing:1', '*', false],
    ['some/thing:1', 'some/*', true],
    ['some/thing:1', '*:1', false],
    ['busybox:latest', 'box', false],
    ['a.b:1', 'a?b', true],
    ['axb:1', 'a.b', false],
  ];
  for (const [tag, pattern, expected] of cases)
    assert.equal(matchesReference(tag, pattern), expected, `${tag} ${pattern}`);
});

test.run();
