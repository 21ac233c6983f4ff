/** Turns a resolution into the bytes of an Answer: done once per name, type and change, so that replying is copying. */
import { Answer, type Rotation } from './answer.ts';
import { nameToWire } from './name.ts';
import { type RecordData, soaData } from './rdata.ts';
import type { Resolution } from './resolver.ts';
import { headerLength, types } from './wire.ts';

type Answered = Extract<Resolution, { kind: 'answer' }>;

/** Offsets above this cannot be pointed to (RFC 1035 §4.1.4: 14 bits). */
const maxPointer = 0x3fff;
/** More additional records than these are left for the client to ask. */
const maxAdditional = 16;

/** `key` is the question's: lower-case wire name and type. */
export function compile(resolution: Answered, key: Uint8Array): Answer {
  const questionEnd = key.length + 2 + headerLength;
  const pieces: Buffer[] = [];
  let length = 0;
  const push = (piece: Buffer): void => {
    pieces.push(piece);
    length += piece.length;
  };
  const { ttl } = resolution;
  let owner = pointer(headerLength);
  let answers = 0;
  let group: { offset: number; unit: number; count: number; rotation: Rotation } | undefined;
  for (const set of resolution.sets) {
    const records = set.records.map((record) => encode(owner, record, ttl));
    answers += records.length;
    const unit = records[0]?.length ?? 0;
    if (set.rotation !== undefined && records.length > 1 && records.every((record) => record.length === unit)) {
      const count = set.turns ?? records.length;
      group = { offset: length, unit, count, rotation: set.rotation };
      for (const record of records.slice(0, count)) push(record);
    }
    const last = set.records[0];
    if (last?.type === types.CNAME) owner = pointer(questionEnd + length + owner.length + 10);
    for (const record of records) push(record);
  }
  let authorities = 0;
  if (answers === 0 || resolution.rcode !== 0 || (resolution.soaOwner !== undefined && endsInCname(resolution))) {
    const zone = resolution.soaOwner ?? '';
    push(encode(nameToWire(zone), soaData(zone, resolution.negativeTtl), resolution.negativeTtl));
    authorities = 1;
  }
  let additionals = 0;
  for (const { target, records } of resolution.additional) {
    for (const record of records) {
      if (additionals === maxAdditional) break;
      push(encode(nameToWire(target), record, ttl));
      additionals++;
    }
  }
  return new Answer({
    key,
    rcode: resolution.rcode,
    authoritative: true,
    // A copy of its own: see questionKey.
    body: new Uint8Array(Buffer.concat(pieces)),
    counts: [answers, authorities, additionals],
    source: 'local',
    ...(group === undefined ? {} : { group }),
  });
}

/** RFC 2308 §2.2: a chain that ends in nothing is NODATA with an SOA, although there are answers. */
function endsInCname(resolution: Answered): boolean {
  return resolution.sets.at(-1)?.records.every((record) => record.type === types.CNAME) === true;
}

function pointer(offset: number): Buffer {
  if (offset > maxPointer) throw new Error(`no pointer to offset ${offset}: a chain of CNAMEs cannot be that long`);
  return Buffer.from([0xc0 | (offset >> 8), offset & 0xff]);
}

export function encode(owner: Uint8Array, record: RecordData, ttl: number): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(record.rdata.length, 8);
  return Buffer.concat([owner, fixed, record.rdata]);
}
