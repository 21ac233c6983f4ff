import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore, type Store, StoreError, type StoreErrorCode } from './store.ts';

interface Context {
  folder: string;
  path: string;
  store: Store;
}

const test = suite<Context>('store');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'cleat-store-'));
  context.path = join(context.folder, 'state', 'records.db');
  context.store = openStore(context.path);
});

test.after.each((context) => {
  context.store.close();
  rmSync(context.folder, { recursive: true });
});

function codeOf(fn: () => unknown): StoreErrorCode | undefined {
  try {
    fn();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  return undefined;
}

test('puts, gets, lists by prefix in order, deletes', ({ store }) => {
  const table = store.table<{ n: number }>('things', { version: 1 });
  for (const [index, key] of ['b/2', 'a', 'b/1', 'b', 'c'].entries()) table.put(key, { n: index });
  assert.equal(table.get('a'), { n: 1 });
  assert.is(table.get('none'), undefined);
  assert.equal(
    table.entries('b/').map(([key]) => key),
    ['b/1', 'b/2'],
  );
  assert.is(table.entries().length, 5);
  assert.ok(table.delete('a'));
  assert.not(table.delete('a'));
  assert.not(table.has('a'));
  const other = store.table<string>('others', { version: 1 });
  other.put('b', 'kept');
  table.clear();
  assert.equal(table.entries(), []);
  assert.equal(other.entries(), [['b', 'kept']]);
});

test('any key and any JSON record come back as they were', ({ store }) => {
  const table = store.table<unknown>('any', { version: 1 });
  void fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.jsonValue(), (key, record) => {
      table.put(key, record);
      assert.equal(table.get(key), JSON.parse(JSON.stringify(record)));
      assert.ok(table.entries(key).some(([found]) => found === key));
    }),
    { numRuns: 50 },
  );
});

test('a transaction that throws leaves nothing, one that returns leaves everything', ({ store }) => {
  const table = store.table<number>('t', { version: 1 });
  assert.throws(
    () =>
      store.transaction(() => {
        table.put('x', 1);
        throw new Error('no');
      }),
    'no',
  );
  assert.equal(table.entries(), []);
  const result = store.transaction(() => {
    table.put('x', 1);
    table.put('y', 2);
    return 'done';
  });
  assert.is(result, 'done');
  assert.is(table.entries().length, 2);
});

test('nested transactions join the outer one; a caught failure undoes its own part only', ({ store }) => {
  const table = store.table<number>('t', { version: 1 });
  assert.throws(() =>
    store.transaction(() => {
      store.transaction(() => table.put('inner', 1));
      throw new Error('outer fails');
    }),
  );
  assert.equal(table.entries(), []);
  store.transaction(() => {
    table.put('outer', 1);
    assert.throws(() =>
      store.transaction(() => {
        table.put('inner', 1);
        throw new Error('inner fails');
      }),
    );
  });
  assert.equal(table.entries(), [['outer', 1]]);
});

test('an asynchronous function is refused and leaves nothing', ({ store }) => {
  const table = store.table<number>('t', { version: 1 });
  const code = codeOf(() => store.transaction(async () => table.put('x', 1)));
  assert.is(code, 'STORE_USE');
  assert.equal(table.entries(), []);
});

test('migrates step by step, once, and refuses newer records and missing steps', (context) => {
  context.store.table<unknown>('t', { version: 1 }).put('x', { name: 'a' });
  const migrate = {
    2: (old: unknown) => ({ ...(old as object), size: 1 }),
    3: (old: unknown) => ({ ...(old as object), tags: [] }),
  };
  assert.is(
    codeOf(() => context.store.table('t', { version: 3, migrate: { 2: migrate[2] } })),
    'STORE_USE',
  );
  assert.equal(context.store.table('t', { version: 1 }).get('x'), { name: 'a' });
  const messages: object[] = [];
  context.store.close();
  context.store = openStore(context.path, { log: { info: (fields) => messages.push(fields) } });
  for (let round = 0; round < 2; round++) {
    assert.equal(context.store.table('t', { version: 3, migrate }).get('x'), { name: 'a', size: 1, tags: [] });
  }
  assert.equal(messages, [{ table: 't', version: 3, records: 1 }]);
  assert.is(
    codeOf(() => context.store.table('t', { version: 2, migrate })),
    'STORE_NEWER',
  );
});

test('what a transaction wrote is there after kill -9, what it had not finished is not', async (context) => {
  context.store.close();
  const script = `
    import { openStore } from ${JSON.stringify(new URL('./store.ts', import.meta.url).href)};
    const store = openStore(${JSON.stringify(context.path)});
    const table = store.table('t', { version: 1 });
    for (let n = 0; n < 20; n++) {
      store.transaction(() => { table.put('a' + n, n); table.put('b' + n, n); });
    }
    store.unsynced(() => { table.put('unsynced', 1); });
    store.run('BEGIN IMMEDIATE');
    table.put('unfinished', 1);
    process.stdout.write('ready');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.is(
    codeOf(() => openStore(context.path)),
    'STORE_LOCKED',
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  context.store = openStore(context.path);
  const table = context.store.table('t', { version: 1 });
  assert.is(table.entries().length, 41);
  assert.ok(table.has('unsynced'));
  assert.not(table.has('unfinished'));
});

test('a file that is no database, and a damaged one, are clear errors', (context) => {
  context.store.close();
  const junk = join(context.folder, 'junk.db');
  writeFileSync(junk, 'this is not a database, and long enough to be looked at as one'.repeat(40));
  assert.is(
    codeOf(() => openStore(junk)),
    'STORE_CORRUPT',
  );
  context.store = openStore(context.path);
  const table = context.store.table('t', { version: 1 });
  context.store.transaction(() => {
    for (let n = 0; n < 500; n++) table.put(`key${n}`, 'x'.repeat(100));
  });
  context.store.close();
  const bytes = readFileSync(context.path);
  bytes.fill(0xa5, 4096, 6 * 4096);
  writeFileSync(context.path, bytes);
  assert.is(
    codeOf(() => openStore(context.path)),
    'STORE_CORRUPT',
  );
});

test('the file is for its owner alone', ({ path }) => {
  assert.is(statSync(path).mode & 0o777, 0o600);
});

test.run();
