/** Header blocks of a tar archive, in ustar where everything fits and with a pax extended header where it does not. */
import { blockSize, type TarEntry, type TarEntryType } from './tar-entry.ts';

const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** What ends an archive. */
export const endOfArchive: Buffer = Buffer.alloc(2 * blockSize);

const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;

/** The header of one entry; its content, padded with `paddingFor`, follows. */
export function encodeHeader(entry: TarEntry): Buffer {
  const pax: [string, string][] = [];
  if (entry.name.length > 100 || !isAscii(entry.name)) pax.push(['path', entry.name]);
  if (entry.linkName.length > 100 || !isAscii(entry.linkName)) pax.push(['linkpath', entry.linkName]);
  if (entry.size > maxOctal11) pax.push(['size', String(entry.size)]);
  if (entry.uid > maxOctal7) pax.push(['uid', String(entry.uid)]);
  if (entry.gid > maxOctal7) pax.push(['gid', String(entry.gid)]);
  const seconds = Math.floor(entry.mtime);
  if (seconds !== entry.mtime || seconds < 0 || seconds > maxOctal11) pax.push(['mtime', String(entry.mtime)]);
  for (const [name, value] of Object.entries(entry.xattrs)) pax.push([`SCHILY.xattr.${name}`, value]);
  const header = headerBlock(entry, typeFlags[entry.type]);
  if (pax.length === 0) return header;
  const body = Buffer.from(pax.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  const extended = headerBlock(
    { ...entry, name: `PaxHeaders.0/${baseName(entry.name)}`, linkName: '', size: body.length, mode: 0o644, mtime: 0 },
    'x',
  );
  return Buffer.concat([extended, body, paddingFor(body.length), header]);
}

/** Zeros up to the next block. */
export function paddingFor(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize);
}

function headerBlock(entry: TarEntry, typeFlag: string): Buffer {
  const block = Buffer.alloc(blockSize);
  block.write(entry.name.slice(0, 100), 0, 'latin1');
  const octal = (value: number, at: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  octal(entry.mode & 0o7777, 100, 8);
  octal(entry.uid > maxOctal7 ? 0 : entry.uid, 108, 8);
  octal(entry.gid > maxOctal7 ? 0 : entry.gid, 116, 8);
  octal(entry.size > maxOctal11 ? 0 : entry.size, 124, 12);
  octal(Math.min(maxOctal11, Math.max(0, Math.floor(entry.mtime))), 136, 12);
  block.write(typeFlag, 156, 'latin1');
  block.write(entry.linkName.slice(0, 100), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(entry.devMajor, 329, 8);
  octal(entry.devMinor, 337, 8);
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function baseName(name: string): string {
  const parts = name.split('/').filter(Boolean);
  return (parts.at(-1) ?? '').replaceAll(/[^\x20-\x7e]/g, '_').slice(0, 80);
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII character
  return /^[\x00-\x7f]*$/.test(text);
}
