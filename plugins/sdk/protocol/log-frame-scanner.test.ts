import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeLogFrame } from './log-frame-encoder.ts';
import { LogFrameScanner } from './log-frame-scanner.ts';

const frame = (line: string): Buffer =>
  encodeLogFrame({ source: 'stdout', timeNano: 7n, line: Buffer.from(line), partial: false });

function scan(data: Buffer): { readonly lines: string[]; readonly scanner: LogFrameScanner } {
  const scanner = new LogFrameScanner();
  scanner.reset(data, 0, data.length);
  const lines: string[] = [];
  while (scanner.next()) lines.push(scanner.frame.line.toString());
  return { lines, scanner };
}

const frames = Buffer.concat([frame('a'), frame(''), frame('c'.repeat(300))]);

test('frames in a row, and what is left of a cut one', () => {
  assert.equal(scan(frames).lines, ['a', '', 'c'.repeat(300)]);
  for (let cut = 0; cut < frames.length; cut++) {
    const { lines, scanner } = scan(frames.subarray(0, cut));
    assert.is(scanner.damages, 0, `cut at ${cut}`);
    assert.equal([...lines, ...scan(frames.subarray(scanner.position)).lines], ['a', '', 'c'.repeat(300)]);
  }
});

test('rubbish between frames is passed over and counted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 5, maxLength: 100 }), (rubbish) => {
      // A length that is not one: the scanner need not wait for its end.
      const bad = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff]), rubbish]);
      const { lines, scanner } = scan(Buffer.concat([frame('x'), bad, frame('y'), frame('z')]));
      assert.equal(lines, ['x', 'y', 'z']);
      assert.is(scanner.skippedBytes, bad.length);
      assert.ok(scanner.damages >= 1);
    }),
    { numRuns: 100 },
  );
});

test('any bytes: it ends, and never goes back or beyond', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { scanner } = scan(Buffer.from(bytes));
      assert.ok(scanner.position >= 0 && scanner.position <= bytes.length);
      scanner.skipRest();
      while (scanner.next());
      assert.ok(scanner.position <= bytes.length);
    }),
    { numRuns: 200 },
  );
});

test('a rest that never becomes a frame is given up, up to the next one inside it', () => {
  // Announces 16 KiB and stops after a few bytes; what follows is taken for its body until somebody says otherwise.
  const announced = Buffer.concat([Buffer.from('00004000', 'hex'), frame('cut').subarray(4, 12)]);
  const data = Buffer.concat([announced, frame('next')]);
  const { lines, scanner } = scan(data);
  assert.equal(lines, []);
  assert.is(scanner.position, 0);
  scanner.skipRest();
  assert.ok(scanner.next());
  assert.is(scanner.frame.line.toString(), 'next');
  assert.is(scanner.skippedBytes, announced.length);
});

test.run();
