/**
 * What a backup says about itself, at its very end: a skippable frame of zstd (RFC 8878 §3.1.2), which every zstd passes over,
 * so that a backup is an ordinary .tar.zst for any other program. A file without it was cut short.
 */

export interface Trailer {
  readonly format: 1;
  readonly volume: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAt: string;
  /** Of the tar stream, before compression. */
  readonly sha256: string;
  readonly bytes: number;
}

const magic = 0x184d2a5c;
const headerSize = 8;
/** Options may be long; nothing else in it is. */
export const maxTrailerSize = 1 << 20;

export function encodeTrailer(trailer: Trailer): Buffer {
  const text = Buffer.from(JSON.stringify(trailer));
  const header = Buffer.alloc(headerSize);
  header.writeUInt32LE(magic, 0);
  header.writeUInt32LE(text.length, 4);
  return Buffer.concat([header, text]);
}

/** Looks at the last bytes of a file; undefined when they are no trailer. */
export function findTrailer(end: Buffer): Trailer | undefined {
  for (let at = end.length - headerSize; at >= 0; at--) {
    if (end.readUInt32LE(at) !== magic || end.readUInt32LE(at + 4) !== end.length - at - headerSize) continue;
    return parseTrailer(end.subarray(at + headerSize).toString());
  }
  return undefined;
}

function parseTrailer(text: string): Trailer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const fields = value as Partial<Trailer> | null;
  const whole = fields?.format === 1 && typeof fields.sha256 === 'string' && typeof fields.bytes === 'number';
  return whole ? (fields as Trailer) : undefined;
}
