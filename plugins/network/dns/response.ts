/**
 * Reads a whole response: what came from an upstream, before anything of it is kept or passed on. Every record is walked, so
 * that a message that is cut, loops or lies about its counts is refused here. Allocates; it runs once per upstream answer.
 */
import { readName } from './name.ts';
import { flagAd, flagQr, flagTc, headerLength, types } from './wire.ts';

export interface ResponseRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly section: 'answer' | 'authority' | 'additional';
  /** Where the record, its TTL and its data begin, and where it ends. */
  readonly start: number;
  readonly ttlAt: number;
  readonly dataAt: number;
  readonly end: number;
}

export interface Response {
  readonly id: number;
  /** With the extended bits of OPT. */
  readonly rcode: number;
  readonly truncated: boolean;
  readonly authenticData: boolean;
  readonly question: { readonly name: string; readonly type: number; readonly class: number } | undefined;
  readonly questionEnd: number;
  /** Without OPT. */
  readonly records: readonly ResponseRecord[];
  /** Where the OPT record stands. */
  readonly opt: { readonly start: number; readonly end: number } | undefined;
}

/** undefined when the message is no well-formed response. */
export function readResponse(message: Uint8Array): Response | undefined {
  if (message.length < headerLength) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const flags = view.getUint16(2);
  if ((flags & (flagQr << 8)) === 0 || (flags & 0x7800) !== 0) return undefined;
  const questions = view.getUint16(4);
  if (questions > 1) return undefined;
  let at = headerLength;
  let question: Response['question'];
  if (questions === 1) {
    const read = readName(message, at);
    if (read === undefined || read.next + 4 > message.length) return undefined;
    question = { name: read.name, type: view.getUint16(read.next), class: view.getUint16(read.next + 2) };
    at = read.next + 4;
  }
  const questionEnd = at;
  const records: ResponseRecord[] = [];
  let opt: Response['opt'];
  let rcode = flags & 15;
  const sections = ['answer', 'authority', 'additional'] as const;
  for (const [index, section] of sections.entries()) {
    for (let left = view.getUint16(6 + index * 2); left > 0; left--) {
      const owner = readName(message, at);
      if (owner === undefined || owner.next + 10 > message.length) return undefined;
      const start = at;
      const type = view.getUint16(owner.next);
      const end = owner.next + 10 + view.getUint16(owner.next + 8);
      if (end > message.length) return undefined;
      at = end;
      if (type === types.OPT) {
        if (opt !== undefined || section !== 'additional') return undefined;
        opt = { start, end };
        rcode |= view.getUint8(owner.next + 4) << 4;
        continue;
      }
      // RFC 2181 §8: a TTL with the top bit set counts as zero.
      const ttl = view.getUint32(owner.next + 4);
      records.push({
        name: owner.name,
        type,
        class: view.getUint16(owner.next + 2),
        ttl: ttl > 0x7fffffff ? 0 : ttl,
        section,
        start,
        ttlAt: owner.next + 4,
        dataAt: owner.next + 10,
        end,
      });
    }
  }
  return {
    id: view.getUint16(0),
    rcode,
    truncated: (flags & (flagTc << 8)) !== 0,
    authenticData: (flags & flagAd) !== 0,
    question,
    questionEnd,
    records,
    opt,
  };
}
