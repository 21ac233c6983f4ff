import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AddressSet } from './address-set.ts';

const operations = (max: bigint) =>
  fc.array(fc.record({ verb: fc.constantFrom('add', 'delete', 'find'), at: fc.bigInt({ min: 0n, max }) }), {
    maxLength: 300,
  });

/** Every answer of the tree is the one that a plain Set gives. */
function compareWithModel(bits: number, steps: readonly { verb: string; at: bigint }[]): void {
  const last = (1n << BigInt(bits)) - 1n;
  const set = new AddressSet(bits);
  const model = new Set<bigint>();
  for (const { verb, at } of steps) {
    if (verb === 'add') {
      assert.is(set.add(at), !model.has(at));
      model.add(at);
    } else if (verb === 'delete') {
      assert.is(set.delete(at), model.delete(at));
    } else {
      let free = at;
      while (model.has(free)) free++;
      assert.is(set.firstFree(at, last), free <= last ? free : undefined);
    }
    assert.is(set.has(at), model.has(at));
    assert.is(set.size, model.size);
  }
}

test('agrees with a Set in a crowded range', () => {
  fc.assert(fc.property(operations(127n), (steps) => compareWithModel(7, steps)));
});

test('agrees with a Set in the range of a /64', () => {
  const max = (1n << 64n) - 1n;
  fc.assert(
    fc.property(operations(max), (steps) => compareWithModel(64, steps)),
    { numRuns: 30 },
  );
  // Crowded at the top end, where carries and the end of the range meet.
  const top = fc.array(
    fc.record({ verb: fc.constantFrom('add', 'delete', 'find'), at: fc.bigInt({ min: max - 70n, max }) }),
    {
      maxLength: 300,
    },
  );
  fc.assert(
    fc.property(top, (steps) => compareWithModel(64, steps)),
    { numRuns: 30 },
  );
});

test('fills exactly, and every hole is found again', () => {
  const set = new AddressSet(11);
  for (let number = 0n; number < 2048n; number++) {
    assert.is(set.firstFree(0n, 2047n), number, 'in order');
    set.add(number);
  }
  assert.is(set.firstFree(0n, 2047n), undefined);
  for (const hole of [0n, 31n, 32n, 1023n, 2047n]) {
    set.delete(hole);
    assert.is(set.firstFree(0n, 2047n), hole);
    set.add(hole);
  }
  for (let number = 0n; number < 2048n; number++) set.delete(number);
  assert.is(set.size, 0);
  assert.is(set.firstFree(5n, 2047n), 5n);
});

test('stays inside the bounds asked for', () => {
  const set = new AddressSet(8);
  for (let number = 16n; number < 32n; number++) set.add(number);
  assert.is(set.firstFree(16n, 31n), undefined);
  assert.is(set.firstFree(16n, 32n), 32n);
  assert.is(set.firstFree(9n, 8n), undefined);
});

test('a range of one number', () => {
  const set = new AddressSet(0);
  assert.is(set.firstFree(0n, 0n), 0n);
  set.add(0n);
  assert.is(set.firstFree(0n, 0n), undefined);
});

test.run();
