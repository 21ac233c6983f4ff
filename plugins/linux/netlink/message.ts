/**
 * Netlink messages as bytes, <linux/netlink.h>: a 16-byte header, a fixed part and attributes, everything aligned to 4.
 * Numbers are in host byte order, which is little-endian on every machine that Node and koffi support here.
 *
 * ```
 * len:32 type:16 flags:16 seq:32 port:32 | fixed part of the family | len:16 type:16 payload pad | …
 * ```
 */

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLA_F_NESTED = 0x8000;
const headerSize = 16;

/** Bytes from the kernel that end in the middle of a message or attribute. */
export class NetlinkFormatError extends Error {
  override readonly name: string = 'NetlinkFormatError';
}

/** Lengths in netlink leave out the padding after the last part. */
export function align4(size: number): number {
  return (size + 3) & ~3;
}

/** Builds any number of messages one behind the other in one buffer that grows. */
export class MessageWriter {
  #bytes: Buffer = Buffer.alloc(4096);
  #length = 0;
  #start = 0;

  /** What was written; valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  begin(type: number, flags: number, sequence: number): void {
    this.#start = this.#length;
    const at = this.skip(headerSize);
    this.#bytes.writeUInt16LE(type, at + 4);
    this.#bytes.writeUInt16LE(flags, at + 6);
    this.#bytes.writeUInt32LE(sequence, at + 8);
  }

  end(): void {
    this.#bytes.writeUInt32LE(this.#length - this.#start, this.#start);
    this.#pad();
  }

  /** Appends zeros; returns where they begin. It may put a larger buffer in place, so it comes before any use of the buffer. */
  skip(size: number): number {
    const at = this.#length;
    if (at + size + 4 > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, at + size + 4));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#bytes.fill(0, at, at + size);
    this.#length = at + size;
    return at;
  }

  u8(value: number): void {
    const at = this.skip(1);
    this.#bytes.writeUInt8(value, at);
  }

  u16(value: number): void {
    const at = this.skip(2);
    this.#bytes.writeUInt16LE(value, at);
  }

  u16be(value: number): void {
    const at = this.skip(2);
    this.#bytes.writeUInt16BE(value, at);
  }

  u32(value: number): void {
    const at = this.skip(4);
    this.#bytes.writeUInt32LE(value, at);
  }

  i32(value: number): void {
    const at = this.skip(4);
    this.#bytes.writeInt32LE(value, at);
  }

  raw(payload: Uint8Array): void {
    const at = this.skip(payload.length);
    this.#bytes.set(payload, at);
  }

  attribute(type: number, payload: Uint8Array): void {
    this.#header(type, payload.length);
    this.raw(payload);
    this.#pad();
  }

  attributeU8(type: number, value: number): void {
    this.#header(type, 1);
    this.u8(value);
    this.#pad();
  }

  attributeU16(type: number, value: number): void {
    this.#header(type, 2);
    this.u16(value);
    this.#pad();
  }

  attributeU16be(type: number, value: number): void {
    this.#header(type, 2);
    this.u16be(value);
    this.#pad();
  }

  attributeU32(type: number, value: number): void {
    this.#header(type, 4);
    this.u32(value);
  }

  attributeU32be(type: number, value: number): void {
    this.#header(type, 4);
    const at = this.skip(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  /** Text with its closing zero byte. */
  attributeText(type: number, value: string): void {
    const size = Buffer.byteLength(value) + 1;
    this.#header(type, size);
    const at = this.skip(size);
    this.#bytes.write(value, at);
    this.#pad();
  }

  /** An attribute that holds what `fill` writes. */
  nest(type: number, fill: () => void): void {
    const at = this.#header(type | NLA_F_NESTED, 0);
    fill();
    this.#bytes.writeUInt16LE(this.#length - at, at);
    this.#pad();
  }

  #header(type: number, size: number): number {
    const at = this.skip(4);
    this.#bytes.writeUInt16LE(4 + size, at);
    this.#bytes.writeUInt16LE(type, at + 2);
    return at;
  }

  #pad(): void {
    this.skip(align4(this.#length) - this.#length);
  }
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the header: a view into the bytes it was read from. */
  readonly body: Buffer;
}

/** The messages of one datagram. Throws NetlinkFormatError when it ends in the middle of one. */
export function readMessages(bytes: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + headerSize > bytes.length) throw new NetlinkFormatError(`message header cut at byte ${at}`);
    const size = bytes.readUInt32LE(at);
    if (size < headerSize || at + size > bytes.length)
      throw new NetlinkFormatError(`message of ${size} bytes cut at byte ${at}`);
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + headerSize, at + size),
    });
    at += align4(size);
  }
  return messages;
}

export interface Acknowledgement {
  /** Positive errno; 0 is success. */
  readonly errno: number;
  /** Words of the kernel: the extended acknowledgement, where there is one. */
  readonly detail: string | undefined;
}

/** Reads NLMSG_ERROR, which is also the acknowledgement, and NLMSG_DONE, which may carry an error of a dump. */
export function readAcknowledgement({ type, flags, body }: Message): Acknowledgement {
  if (body.length < 4) {
    if (type === NLMSG_DONE) return { errno: 0, detail: undefined };
    throw new NetlinkFormatError('acknowledgement without error number');
  }
  const errno = -body.readInt32LE(0);
  if (!(flags & NLM_F_ACK_TLVS)) return { errno, detail: undefined };
  let attributesAt = 4;
  if (type === NLMSG_ERROR) {
    if (body.length < 20) throw new NetlinkFormatError('acknowledgement without request header');
    // The request's payload is repeated only when NETLINK_CAP_ACK is off.
    attributesAt = 20 + (flags & NLM_F_CAPPED ? 0 : align4(body.readUInt32LE(4) - headerSize));
  }
  const text = readAttributes(body, attributesAt).get(NLMSGERR_ATTR_MSG);
  return { errno, detail: text && readText(text) };
}

/** Attribute payloads by type, flags taken off; of a repeated type the last. Throws NetlinkFormatError on a cut. */
export function readAttributes(bytes: Buffer, at = 0): Map<number, Buffer> {
  return new Map(listAttributes(bytes, at));
}

/** The same in order, for lists that repeat a type. */
export function listAttributes(bytes: Buffer, at = 0): [type: number, payload: Buffer][] {
  const found: [number, Buffer][] = [];
  let next = at;
  // Less than a header at the end is padding.
  while (next + 4 <= bytes.length) {
    const size = bytes.readUInt16LE(next);
    if (size < 4 || next + size > bytes.length)
      throw new NetlinkFormatError(`attribute of ${size} bytes cut at byte ${next}`);
    found.push([bytes.readUInt16LE(next + 2) & 0x3fff, bytes.subarray(next + 4, next + size)]);
    next += align4(size);
  }
  return found;
}

/** Text up to its zero byte. */
export function readText(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}
