/**
 * Header blocks of tar: POSIX.1-2017 "pax" (ustar and extended headers) and the GNU forms (base-256 numbers, long names).
 */
import { blockSize, type TarEntry, type TarEntryType, TarError } from './tar-entry.ts';

/** A header block as it stands, before extended headers are applied. */
export interface RawHeader extends Omit<TarEntry, 'type' | 'xattrs'> {
  readonly typeFlag: string;
}

const types: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file', // "contiguous"
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** Undefined for a block of zeros. Throws TarError for a block that is no header. */
export function decodeHeader(block: Buffer): RawHeader | undefined {
  const stored = readNumber(block, 148, 8);
  let unsigned = 8 * 0x20; // the checksum counts itself as blanks
  for (let index = 0; index < blockSize; index += 1) unsigned += block[index] as number;
  for (let index = 148; index < 156; index += 1) unsigned -= block[index] as number;
  if (unsigned === 8 * 0x20) return undefined;
  if (stored !== unsigned) throw new TarError('invalid tar header');
  const magic = block.toString('latin1', 257, 265);
  const isUstar = magic.startsWith('ustar\0');
  const prefix = isUstar ? readText(block, 345, 155) : '';
  const name = readText(block, 0, 100);
  const known = isUstar || magic === 'ustar  \0';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    typeFlag: block.toString('latin1', 156, 157),
    linkName: readText(block, 157, 100),
    size: readNumber(block, 124, 12),
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: readNumber(block, 108, 8),
    gid: readNumber(block, 116, 8),
    mtime: readNumber(block, 136, 12),
    devMajor: known ? readNumber(block, 329, 8) : 0,
    devMinor: known ? readNumber(block, 337, 8) : 0,
  };
}

/** Undefined for a type that is none of ours. */
export function entryType(header: RawHeader): TarEntryType | undefined {
  const type = types[header.typeFlag];
  // Before ustar a folder was a file whose name ends with a slash.
  return type === 'file' && header.name.endsWith('/') ? 'directory' : type;
}

/** Records `LENGTH KEY=VALUE\n`; values one character a byte. */
export function decodePax(data: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < data.length) {
    const blank = data.indexOf(0x20, at);
    const length = Number(data.toString('latin1', at, blank));
    const end = at + length;
    const equals = data.indexOf(0x3d, blank);
    if (blank < 0 || !Number.isInteger(length) || length < 5 || end > data.length || equals < 0 || equals >= end) {
      throw new TarError('invalid tar header: malformed extended header');
    }
    records.set(data.toString('latin1', blank + 1, equals), data.toString('latin1', equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The name bytes up to the first NUL. */
export function readText(block: Buffer, at: number, length: number): string {
  const text = block.toString('latin1', at, at + length);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/** Octal digits, or with the top bit set a big-endian number (GNU). */
function readNumber(block: Buffer, at: number, length: number): number {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) {
    let value = first & 0x40 ? -1n : 0n;
    for (let index = 0; index < length; index += 1) {
      const byte = block[at + index] as number;
      value = (value << 8n) | BigInt(index === 0 ? (first & 0x40 ? byte : byte & 0x7f) : byte);
    }
    const number = Number(BigInt.asIntN(64, value));
    if (!Number.isSafeInteger(number)) throw new TarError('invalid tar header: a number is too large');
    return number;
  }
  const text = block
    .toString('latin1', at, at + length)
    .replaceAll('\0', ' ')
    .trim();
  if (text === '') return 0;
  if (!/^[0-7]+$/.test(text)) throw new TarError('invalid tar header');
  return Number.parseInt(text, 8);
}
