import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  listAttributes,
  type Message,
  MessageWriter,
  NetlinkFormatError,
  NLMSG_ERROR,
  readAcknowledgement,
  readAttributes,
  readMessages,
  readText,
} from './message.ts';

/** Runs a reader on bytes that may be anything: it returns or throws NetlinkFormatError. */
function survives(fn: () => unknown): void {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof NetlinkFormatError)) throw error;
  }
}

function sample(): Buffer {
  const writer = new MessageWriter();
  writer.begin(16, 5, 7);
  writer.skip(16);
  writer.attributeText(3, 'eth0');
  writer.nest(18, () => {
    writer.attributeU8(1, 200);
    writer.attributeU16(2, 60_000);
    writer.nest(3, () => writer.attributeU32(4, 4_000_000_000));
  });
  writer.end();
  writer.begin(20, 1, 8);
  writer.attribute(1, Buffer.from([1, 2, 3]));
  writer.end();
  return Buffer.from(writer.bytes);
}

test('messages and nested attributes come back as they were written', () => {
  const [first, second, ...rest] = readMessages(sample()) as [Message, Message];
  assert.is(rest.length, 0);
  assert.equal([first.type, first.flags, first.sequence], [16, 5, 7]);
  assert.is(first.body.length % 4, 0);
  const found = readAttributes(first.body, 16);
  assert.is(readText(found.get(3) as Buffer), 'eth0');
  const nested = readAttributes(found.get(18) as Buffer);
  assert.is(nested.get(1)?.readUInt8(), 200);
  assert.is(nested.get(2)?.readUInt16LE(), 60_000);
  assert.is(
    readAttributes(nested.get(3) as Buffer)
      .get(4)
      ?.readUInt32LE(),
    4_000_000_000,
  );
  assert.equal([...(readAttributes(second.body).get(1) as Buffer)], [1, 2, 3]);
});

test('any attributes make the round trip, also when the buffer has to grow in the middle', () => {
  const attribute = fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 3000 }));
  const writer = new MessageWriter();
  void fc.assert(
    fc.property(fc.array(attribute, { maxLength: 12 }), fc.nat({ max: 5 }), (attributes, before) => {
      writer.reset();
      // An offset in the buffer must not matter.
      for (let n = 0; n < before; n++) {
        writer.begin(1, 0, n);
        writer.end();
      }
      writer.begin(2, 0, 99);
      writer.nest(9, () => {
        for (const [type, payload] of attributes) writer.attribute(type, payload);
      });
      writer.end();
      const body = readMessages(writer.bytes)[before]?.body as Buffer;
      const read = listAttributes(readAttributes(body).get(9) as Buffer);
      assert.equal(
        read.map(([type, payload]) => [type, [...payload]]),
        attributes.map(([type, payload]) => [type, [...payload]]),
      );
    }),
    { numRuns: 60 },
  );
});

test('every writer of a number grows the buffer safely', () => {
  const writer = new MessageWriter();
  writer.begin(1, 0, 1);
  const count = 3000;
  for (let n = 0; n < count; n++) {
    writer.u8(1);
    writer.u8(2);
    writer.u16(3);
    writer.u16be(4);
    writer.u16be(5);
    writer.u32(6);
    writer.i32(-7);
    writer.attributeU32be(8, n);
  }
  writer.end();
  const body = readMessages(writer.bytes)[0]?.body as Buffer;
  for (let n = 0; n < count; n++) {
    const at = n * 24;
    assert.equal(
      [body[at], body[at + 1], body.readUInt16LE(at + 2), body.readUInt16BE(at + 4), body.readUInt16BE(at + 6)],
      [1, 2, 3, 4, 5],
    );
    assert.equal([body.readUInt32LE(at + 8), body.readInt32LE(at + 12), body.readUInt32BE(at + 20)], [6, -7, n]);
  }
});

test('bytes that end anywhere are refused, never read past their end', () => {
  const bytes = sample();
  const ends = [0, readMessages(bytes)[0] ? bytes.readUInt32LE(0) : 0, bytes.length];
  for (let size = 0; size <= bytes.length; size++) {
    // A copy of its own size, so that reading too far cannot find what follows.
    const cut = Buffer.from(bytes.subarray(0, size));
    if (ends.includes(size)) readMessages(cut);
    else
      assert.throws(
        () => readMessages(cut),
        (error: unknown) => error instanceof NetlinkFormatError,
        `cut at ${size}`,
      );
  }
  const body = readMessages(bytes)[0]?.body as Buffer;
  for (let size = 0; size <= body.length; size++)
    survives(() => readAttributes(Buffer.from(body.subarray(0, size)), 16));
});

test('random bytes end in a result or a NetlinkFormatError', () => {
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      const bytes = Buffer.from(random);
      survives(() => readMessages(bytes));
      survives(() => listAttributes(bytes));
      survives(() => readAcknowledgement({ type: NLMSG_ERROR, flags: 0x200, sequence: 0, body: bytes }));
    }),
    { numRuns: 500 },
  );
});

test('an acknowledgement has the error and the words of the kernel', () => {
  const writer = new MessageWriter();
  for (const capped of [true, false]) {
    writer.reset();
    writer.begin(NLMSG_ERROR, capped ? 0x300 : 0x200, 5);
    writer.i32(-17);
    writer.u32(20); // the request had a header and 4 more bytes
    writer.skip(12);
    if (!capped) writer.skip(4);
    writer.attributeText(1, 'taken');
    writer.end();
    const [message] = readMessages(writer.bytes) as [Message];
    assert.equal(readAcknowledgement(message), { errno: 17, detail: 'taken' });
  }
});

test.run();
