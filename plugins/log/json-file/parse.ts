/** Reads Docker's json-file lines back: those that we wrote by their known layout, any other JSON object of that kind by JSON.parse. */
import type { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { parseTimestamp } from '../../sdk/protocol/timestamp.ts';
import type { RecordScanner } from '../files/record-scanner.ts';
import { highHalf, lowHalf } from '../nano-time.ts';

const logKey = Buffer.from('{"log":"', 'latin1');
const timeKey = Buffer.from('"time":"', 'latin1');
const stderrKey = Buffer.from('"stream":"stderr"', 'latin1');
/** Longer lines are taken for damage; the engine's limit for one entry. cli#4617 */
const maxRecordBytes = 8 * 1024 * 1024;
const quote = 0x22;
const backslash = 0x5c;

export class JsonFileScanner implements RecordScanner {
  position = 0;
  recordStart = 0;
  timeHigh = 0;
  timeLow = 0;
  damagedBytes = 0;
  #recordEnd = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #end = 0;
  #secondText = '';
  #secondNanos = 0n;
  #line: Buffer = Buffer.alloc(0);
  #lineBytes = 0;

  reset(buffer: Buffer, start: number, end: number, atEnd: boolean): void {
    this.#buffer = buffer;
    this.position = start;
    this.#end = end;
    // A line that was cut by a crash is no record; the writer removes it before it goes on.
    if (atEnd && end > start && buffer[end - 1] !== 0x0a) {
      const newline = buffer.lastIndexOf(0x0a, end - 1);
      const soundEnd = newline < start ? start : newline + 1;
      this.damagedBytes += end - soundEnd;
      this.#end = soundEnd;
    }
  }

  next(): boolean {
    for (;;) {
      const start = this.position;
      if (start >= this.#end) return false;
      const newline = this.#buffer.indexOf(0x0a, start);
      if (newline === -1 || newline >= this.#end) {
        if (this.#end - start > maxRecordBytes) {
          this.damagedBytes += this.#end - start;
          this.position = this.#end;
        }
        return false;
      }
      this.position = newline + 1;
      if (this.#buffer[start] === 0x7b && this.#buffer[newline - 1] === 0x7d) {
        this.recordStart = start;
        this.#recordEnd = newline;
        return true;
      }
      this.damagedBytes += newline + 1 - start;
    }
  }

  readTime(): void {
    // The time is the last field in Docker's layout; a line that merely contains such text has its quotes escaped.
    const at = this.#buffer.lastIndexOf(timeKey, this.#recordEnd);
    const text =
      at <= this.recordStart ? '' : this.#buffer.toString('latin1', at + timeKey.length, this.#recordEnd - 2);
    const nanos = this.#nanosOf(text) ?? this.#parsedTime();
    this.timeHigh = highHalf(nanos);
    this.timeLow = lowHalf(nanos);
  }

  addTo(batch: LogFrameBatch): void {
    this.readTime();
    if (!this.#unescapeLog()) return;
    const stderr = this.#buffer.lastIndexOf(stderrKey, this.#recordEnd) > this.recordStart;
    // The newline is part of the log field, and is what the engine prints.
    batch.write(stderr ? 'stderr' : 'stdout', this.timeHigh, this.timeLow, this.#line, 0, this.#lineBytes, false);
  }

  /** Most lines share their second with the one before. */
  #nanosOf(text: string): bigint | undefined {
    if (text.length < 20 || text.charCodeAt(text.length - 1) !== 0x5a) return parseTimestamp(text);
    const second = text.slice(0, 19);
    if (second !== this.#secondText) {
      const nanos = parseTimestamp(`${second}Z`);
      if (nanos === undefined) return undefined;
      this.#secondText = second;
      this.#secondNanos = nanos;
    }
    if (text.length === 20) return this.#secondNanos;
    const fraction = Number(text.slice(20, -1).padEnd(9, '0').slice(0, 9));
    return Number.isInteger(fraction) ? this.#secondNanos + BigInt(fraction) : undefined;
  }

  #parsedTime(): bigint {
    const record = this.#parsed();
    const time = record?.['time'];
    return (typeof time === 'string' ? parseTimestamp(time) : undefined) ?? 0n;
  }

  #parsed(): Record<string, unknown> | undefined {
    try {
      const value: unknown = JSON.parse(this.#buffer.toString('utf8', this.recordStart, this.#recordEnd));
      return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The log field's bytes into #line. False when the record is damaged. */
  #unescapeLog(): boolean {
    const start = this.recordStart;
    if (this.#buffer.compare(logKey, 0, logKey.length, start, start + logKey.length) !== 0)
      return this.#unescapeParsed();
    if (this.#line.length < this.#recordEnd - start) this.#line = Buffer.allocUnsafe((this.#recordEnd - start) * 2);
    const source = this.#buffer;
    const out = this.#line;
    let cursor = 0;
    let index = start + logKey.length;
    while (index < this.#recordEnd) {
      const byte = source[index]!;
      if (byte === quote) {
        // A comma or the object's end follows; anything else is two torn lines that look like one.
        const behind = source[index + 1];
        if (behind !== 0x2c && behind !== 0x7d) break;
        this.#lineBytes = cursor;
        return true;
      }
      // Control characters are escaped in JSON: raw ones are damage.
      if (byte < 0x20) break;
      if (byte !== backslash) {
        out[cursor++] = byte;
        index++;
        continue;
      }
      const letter = source[index + 1]!;
      if (letter === 0x6e) out[cursor++] = 0x0a;
      else if (letter === 0x72) out[cursor++] = 0x0d;
      else if (letter === quote || letter === backslash) out[cursor++] = letter;
      else if (letter === 0x75) {
        const code = Number.parseInt(source.toString('latin1', index + 2, index + 6), 16);
        if (Number.isNaN(code) || (code >= 0xd800 && code < 0xe000)) return this.#unescapeParsed();
        cursor += code < 0x80 ? out.writeUInt8(code, cursor) - cursor : out.write(String.fromCharCode(code), cursor);
        index += 4;
      } else return this.#unescapeParsed();
      index += 2;
    }
    return this.#unescapeParsed();
  }

  #unescapeParsed(): boolean {
    const record = this.#parsed();
    if (record === undefined) {
      this.damagedBytes += this.#recordEnd + 1 - this.recordStart;
      return false;
    }
    const log = record['log'];
    this.#line = Buffer.from(typeof log === 'string' ? log : '');
    this.#lineBytes = this.#line.length;
    return true;
  }
}
