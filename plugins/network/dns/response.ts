/**
 * Reads a whole response: what came from an upstream, before anything of it is kept or passed on. Every record is walked, so
 * that a message that is cut, loops or lies about its counts is refused here. Names are walked, and turned to text only where asked for.
 */
import { readName, skipName } from './name.ts';
import { flagAd, flagQr, flagTc, headerLength, types } from './wire.ts';

export interface ResponseRecord {
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly section: 'answer' | 'authority' | 'additional';
  /** Where the record (its owner name), its TTL and its data begin, and where it ends. */
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
  readonly question: { readonly type: number; readonly class: number } | undefined;
  readonly questionEnd: number;
  /** Without OPT. */
  readonly records: readonly ResponseRecord[];
  /** Where the OPT record stands. */
  readonly opt: { readonly start: number; readonly end: number } | undefined;
}

const sections = ['answer', 'authority', 'additional'] as const;

/** Owner name of a record of this message. */
export function ownerOf(message: Uint8Array, record: ResponseRecord): string {
  return readName(message, record.start)?.name ?? '';
}

function word(message: Uint8Array, at: number): number {
  return (message[at]! << 8) | message[at + 1]!;
}

/** undefined when the message is no well-formed response. */
export function readResponse(message: Uint8Array): Response | undefined {
  if (message.length < headerLength) return undefined;
  if ((message[2]! & flagQr) === 0 || (message[2]! & 0x78) !== 0) return undefined;
  const questions = word(message, 4);
  if (questions > 1) return undefined;
  let at = headerLength;
  let question: Response['question'];
  if (questions === 1) {
    const next = skipName(message, at);
    if (next < 0 || next + 4 > message.length) return undefined;
    question = { type: word(message, next), class: word(message, next + 2) };
    at = next + 4;
  }
  const questionEnd = at;
  const records: ResponseRecord[] = [];
  let opt: Response['opt'];
  let rcode = message[3]! & 15;
  for (let index = 0; index < 3; index++) {
    const section = sections[index]!;
    for (let left = word(message, 6 + index * 2); left > 0; left--) {
      const next = skipName(message, at);
      if (next < 0 || next + 10 > message.length) return undefined;
      const start = at;
      const type = word(message, next);
      const end = next + 10 + word(message, next + 8);
      if (end > message.length) return undefined;
      at = end;
      if (type === types.OPT) {
        if (opt !== undefined || section !== 'additional') return undefined;
        opt = { start, end };
        rcode |= message[next + 4]! << 4;
        continue;
      }
      // RFC 2181 §8: a TTL with the top bit set counts as zero.
      const ttl = message[next + 4]! > 0x7f ? 0 : (word(message, next + 4) << 16) | word(message, next + 6);
      records.push({
        type,
        class: word(message, next + 2),
        ttl,
        section,
        start,
        ttlAt: next + 4,
        dataAt: next + 10,
        end,
      });
    }
  }
  return {
    id: word(message, 0),
    rcode,
    truncated: (message[2]! & flagTc) !== 0,
    authenticData: (message[3]! & flagAd) !== 0,
    question,
    questionEnd,
    records,
    opt,
  };
}
