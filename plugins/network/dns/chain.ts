/**
 * A local CNAME that leads outside: our records first, then what the upstream said about the target. The upstream's records are
 * written anew, because their compression pointers meant another message.
 */
import { Answer } from './answer.ts';
import { encode } from './compile.ts';
import { nameToWire, readName } from './name.ts';
import type { AnswerSet } from './resolver.ts';
import { ownerOf, readResponse } from './response.ts';
import { headerLength, types } from './wire.ts';

/** Types whose data is one name, which may be compressed (RFC 1035 §3.3). */
const nameTypes: ReadonlySet<number> = new Set([types.CNAME, types.NS, types.PTR]);

/** `key` is the client's question; `target` what the upstream was asked, and its answer. */
export function chainAnswer(
  key: Uint8Array,
  via: readonly AnswerSet[],
  ttl: number,
  target: Answer,
  expiresAt: number,
  now: number,
): Answer {
  const pieces = via.flatMap((set) => set.records.map((record) => encode(nameToWire(set.owner), record, ttl)));
  const message = Buffer.alloc(headerLength + target.key.length + 2 + target.body.length);
  message[2] = 0x80;
  message[5] = 1;
  message.writeUInt16BE(target.counts[0], 6);
  message.writeUInt16BE(target.counts[1], 8);
  message.set(target.key, headerLength);
  message.set(target.body, headerLength + target.key.length + 2);
  const counts: [number, number, number] = [pieces.length, 0, 0];
  for (const record of readResponse(message)?.records ?? []) {
    const compressed = nameTypes.has(record.type);
    if (!compressed && record.type !== types.A && record.type !== types.AAAA && record.type !== types.TXT) continue;
    const name = compressed ? readName(message, record.dataAt)?.name : undefined;
    const rdata = name === undefined ? message.subarray(record.dataAt, record.end) : nameToWire(name);
    pieces.push(encode(nameToWire(ownerOf(message, record)), { type: record.type, rdata }, record.ttl));
    counts[record.section === 'answer' ? 0 : 1]++;
  }
  return new Answer({
    key,
    rcode: target.rcode,
    authoritative: false,
    body: Buffer.concat(pieces),
    counts,
    source: target.source,
    storedAt: now,
    expiresAt,
  });
}
