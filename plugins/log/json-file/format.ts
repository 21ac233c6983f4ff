/**
 * One line of Docker's json-file format for each entry, byte for byte:
 * `{"log":"text\n","stream":"stdout","attrs":{…},"time":"2026-11-20T16:21:36.7580356Z"}`.
 * A piece of a long line is a line of its own without the `\n`, as Docker writes it, and shippers know it.
 * Source: moby daemon/logger/jsonfilelog, engines 20.10 to 28.5.
 */
import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import { escapeGrowth, jsonFileEscapes, writeEscaped } from '../go-json.ts';
import { outs } from '../last-view.ts';
import { Rfc3339NanoWriter } from '../nano-time.ts';
import { ShortText } from '../short-text.ts';

const logKey = new ShortText('{"log":"');

export class JsonFileEncoder {
  readonly #time = new Rfc3339NanoWriter();
  /** By stream: what stands between the line and the time. */
  readonly #stdout: Middle;
  readonly #stderr: Middle;
  readonly #attributes: string;

  /** `attributes` is a JSON object, or empty for none. */
  constructor(attributes: string) {
    this.#attributes = attributes === '' ? '' : `,"attrs":${attributes}`;
    this.#stdout = this.#middle('stdout');
    this.#stderr = this.#middle('stderr');
  }

  bound(frame: LogFrame): number {
    return (
      (frame.lineEnd - frame.lineStart + frame.sourceEnd - frame.sourceStart) * escapeGrowth +
      this.#stdout.whole.length +
      80
    );
  }

  /** Writes the entry with its newline; returns the offset behind it. */
  write(out: Buffer, at: number, frame: LogFrame): number {
    const { lineStart, lineEnd } = frame;
    const endsLine = !frame.partial || frame.last;
    const middle = frame.isStderr ? this.#stderr : this.#isStdout(frame) ? this.#stdout : this.#other(frame);
    const view = outs.of(out);
    let cursor = at;
    if (lineEnd === lineStart && !endsLine) {
      // Go leaves out an empty log.
      out[cursor++] = 0x7b;
      cursor = middle.bare.write(view, cursor);
    } else {
      cursor = logKey.write(view, cursor);
      cursor = writeEscaped(out, cursor, frame.buffer, lineStart, lineEnd, jsonFileEscapes);
      cursor = (endsLine ? middle.whole : middle.open).write(view, cursor);
    }
    cursor = this.#time.write(view, cursor, frame.timeHigh, frame.timeLow);
    out[cursor++] = 0x22;
    out[cursor++] = 0x7d;
    out[cursor++] = 0x0a;
    return cursor;
  }

  #isStdout(frame: LogFrame): boolean {
    return frame.sourceEnd - frame.sourceStart === 6 && frame.buffer[frame.sourceStart + 3] === 0x6f;
  }

  #middle(stream: string): Middle {
    const streamKey = stream === '' ? '' : `"stream":"${stream}"`;
    const rest = `${streamKey}${streamKey === '' ? this.#attributes.slice(1) : this.#attributes}`;
    const open = `"${rest === '' ? '' : ','}${rest},"time":"`;
    return {
      whole: new ShortText(`\\n${open}`),
      open: new ShortText(open),
      bare: new ShortText(`${rest}${rest === '' ? '' : ','}"time":"`),
    };
  }

  /** A source that no engine sends: escaped as it came. */
  #other(frame: LogFrame): Middle {
    const { buffer, sourceStart, sourceEnd } = frame;
    const escaped = Buffer.allocUnsafe((sourceEnd - sourceStart) * escapeGrowth);
    const end = writeEscaped(escaped, 0, buffer, sourceStart, sourceEnd, jsonFileEscapes);
    return this.#middle(escaped.toString('utf8', 0, end));
  }
}

interface Middle {
  /** From the line's `\n` to the opening quote of the time. */
  readonly whole: ShortText;
  /** From the closing quote of a piece that goes on. */
  readonly open: ShortText;
  /** The same for an entry without a log field. */
  readonly bare: ShortText;
}
