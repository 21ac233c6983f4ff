/**
 * One entry of a tar archive. Names and extended attributes are bytes that need not be UTF-8: they are kept as strings with one
 * character for each byte (`latin1`), so that what was read is written again byte for byte. tar packages on npm decode pax
 * values as UTF-8, which destroys file capabilities; hence the reader and writer beside this file.
 */

export type TarEntryType = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

export interface TarEntry {
  /** One character a byte. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Target of a link or symlink, one character a byte; empty otherwise. */
  readonly linkName: string;
  /** Bytes of content that follow; 0 for everything but files. */
  readonly size: number;
  /** Permission bits, with set-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, with a fraction. */
  readonly mtime: number;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Name → value, one character a byte. */
  readonly xattrs: Readonly<Record<string, string>>;
}

export const blockSize = 512;

/** The archive is not one, or breaks off. */
export class TarError extends Error {
  override readonly name: string = 'TarError';
}

/** The path for node:fs: a string where that says the same, the bytes where it does not. */
export function bytesPath(name: string): string | Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII character
  return /^[\x00-\x7f]*$/.test(name) ? name : Buffer.from(name, 'latin1');
}

/** From UTF-8 text to one character a byte. */
export function bytesText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** From one character a byte to what a reader sees. */
export function shownName(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}
