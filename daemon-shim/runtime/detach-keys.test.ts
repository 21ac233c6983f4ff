import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'uvu';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';

test('keys by name', () => {
  assert.deepEqual(parseDetachKeys(undefined), [0x10, 0x11]);
  assert.deepEqual(parseDetachKeys('ctrl-a,x'), [1, 0x78]);
  assert.deepEqual(parseDetachKeys('ctrl-@,ctrl-[,ctrl-_'), [0, 0x1b, 0x1f]);
  for (const wrong of ['ctrl-A', 'ctrl-', 'xy', 'a,'])
    assert.throws(() => parseDetachKeys(wrong), /Invalid detach keys/);
});

function feed(chunks: readonly string[]): { passed: string; detached: boolean } {
  const scanner = new DetachScanner(parseDetachKeys(undefined));
  let passed = '';
  for (const chunk of chunks) {
    const { pass, detached } = scanner.scan(Buffer.from(chunk, 'latin1'));
    passed += pass.toString('latin1');
    if (detached) return { passed, detached };
  }
  return { passed, detached: false };
}

test('the sequence is found across chunks, and half of one goes on to the container', () => {
  assert.deepEqual(feed(['ab\x10', '\x11c']), { passed: 'ab', detached: true });
  assert.deepEqual(feed(['\x10', 'x']), { passed: '\x10x', detached: false });
  assert.deepEqual(feed(['\x10', '\x10\x11']), { passed: '\x10\x10\x11', detached: false });
  assert.deepEqual(feed(['\x10\x10\x11', '\x10\x11']), { passed: '\x10\x10\x11', detached: true });
  assert.deepEqual(feed(['\x11\x10']), { passed: '\x11', detached: false });
});

test('what holds no key passes unchanged, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (given) => {
      const chunks = given.map((text) => text.replaceAll(/[^\x20-\x7e]/g, ''));
      assert.equal(feed(chunks).passed, chunks.join(''));
    }),
  );
});

test.run();
