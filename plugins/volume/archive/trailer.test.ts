import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeTrailer, findTrailer, type Trailer } from './trailer.ts';

const trailer: Trailer = {
  format: 1,
  volume: 'v',
  driver: 'cleat-local',
  options: { size: '1g' },
  createdAt: '2026-01-01T00:00:00Z',
  sha256: 'ab',
  bytes: 3,
};

test('round trip, behind any bytes', () => {
  for (const before of [Buffer.alloc(0), Buffer.from('data'), encodeTrailer({ ...trailer, volume: 'older' })]) {
    assert.equal(findTrailer(Buffer.concat([before, encodeTrailer(trailer)])), trailer);
  }
});

test('cut at every byte it is none', () => {
  const whole = Buffer.concat([Buffer.from('data'), encodeTrailer(trailer)]);
  for (let size = 0; size < whole.length; size++)
    assert.is(findTrailer(whole.subarray(0, size)), undefined, `${size} bytes`);
  assert.is(findTrailer(Buffer.concat([whole, Buffer.from('x')])), undefined);
});

test('zstd passes over it', () => {
  const compressed = spawnSync('zstd', ['-q', '-c'], { input: 'hello' }).stdout;
  const { stdout, status } = spawnSync('zstd', ['-d', '-q', '-c'], {
    input: Buffer.concat([compressed, encodeTrailer(trailer)]),
  });
  assert.is(status, 0);
  assert.is(stdout.toString(), 'hello');
});

test.run();
