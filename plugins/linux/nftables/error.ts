/** What libnftables says when it refuses a text, with the place in it. */
import { errnoName } from '../errors.ts';
import { strerror } from '../syscall.ts';

let errnoByWords: Map<string, number> | undefined;

/** The library prints strerror() of what the kernel answered. */
function errnoOf(words: string): number | undefined {
  errnoByWords ??= new Map(Array.from({ length: 133 }, (_, index) => [strerror(index + 1), index + 1]));
  return errnoByWords.get(words);
}

/** `nft:3:5-18: Could not process rule: No such file or directory: add rule inet cleat forward …` */
export class NftError extends Error {
  override readonly name: string = 'NftError';
  /** Errno name when the kernel refused (`EEXIST`); `EINVAL` for what the library could not parse. */
  readonly code: string;
  readonly errno: number;
  /** Line, from 1, and columns of the text; 0 when the library did not say. */
  readonly line: number;
  readonly firstColumn: number;
  readonly lastColumn: number;
  /** The line of the text that the error is about. */
  readonly text: string;
  /** Everything that the library printed. */
  readonly output: string;

  constructor(output: string) {
    // `file:3:5-18: Error: words` for a file and `Error: words` for a single line; then that line, then marks under the place.
    const pattern = /^(?:.*?:(\d+):\d+-\d+: |netlink: )?Error: (.*)(?:\n(.*)\n([ \t]*)(\^+))?/m;
    const [, line = '1', words = '', shown = '', indent = '', marks = ''] = pattern.exec(output) ?? [];
    const text = shown.trim();
    const place = text && `:${line}:${indent.length + 1}-${indent.length + marks.length}`;
    super(`nft${place}: ${words || output.trim() || 'failed without a word'}${text && `: ${text}`}`);
    // `Could not process rule: File exists`, `No such file or directory; did you mean …`
    const reason = words.slice(words.lastIndexOf(': ') + 1).split(';')[0] ?? '';
    this.errno = errnoOf(reason.trim()) ?? 22;
    this.code = errnoName(this.errno);
    this.line = text === '' ? 0 : Number(line);
    this.firstColumn = text === '' ? 0 : indent.length + 1;
    this.lastColumn = indent.length + marks.length;
    this.text = text;
    this.output = output;
  }
}
