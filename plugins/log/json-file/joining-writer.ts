/**
 * A json-file whose records are events of several lines. An event that may go on stays in the pipe, where a process that is killed
 * finds it again; so what lies behind it waits too, and a line of the other stream ends it.
 */
import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import type { LogWriter, Written } from '../log-writer.ts';
import type { MultilineRule } from '../multiline.ts';
import type { JsonFileScanner } from './parse.ts';
import type { JsonFileWriter } from './writer.ts';

/** Well below the size of the pipe, in which an event has to fit. */
const maxEventBytes = 256 * 1024;
const newline = Buffer.from('\n');

interface Event {
  /** Where its first frame starts. */
  readonly start: number;
  readonly source: string;
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly pieces: Buffer[];
  bytes: number;
  /** The last piece ended its line. */
  endsLine: boolean;
}

export class JoiningWriter implements LogWriter {
  readonly #inner: JsonFileWriter;
  readonly #rule: MultilineRule;
  readonly #scanner = new LogFrameScanner();
  safePosition = 0;
  #finishing = false;
  #heldSince: number | undefined;
  /** Time of the held event's first frame: tells it from another one. */
  #heldTime = '';

  constructor(inner: JsonFileWriter, rule: MultilineRule) {
    this.#inner = inner;
    this.#rule = rule;
  }

  get files() {
    return this.#inner.files;
  }

  get active() {
    return this.#inner.active;
  }

  get written(): Written {
    return this.#inner.written;
  }

  get holding(): boolean {
    return this.#heldSince !== undefined;
  }

  finish(finishing: boolean): void {
    this.#finishing = finishing;
  }

  write(scanner: LogFrameScanner): number {
    this.safePosition = scanner.position;
    const batch = new LogFrameBatch();
    let event: Event | undefined;
    while (scanner.next()) {
      const { frame } = scanner;
      if (event !== undefined && this.#continues(event, frame)) extend(event, frame);
      else {
        if (event !== undefined) add(event, batch);
        event = begin(frame);
      }
    }
    let position = scanner.position;
    if (event !== undefined) {
      if (this.#hold(event)) position = event.start;
      else add(event, batch);
    } else this.#heldSince = undefined;
    const frames = batch.take();
    this.#scanner.reset(frames, 0, frames.length);
    if (frames.length > 0) this.#inner.write(this.#scanner);
    this.safePosition = position;
    return position;
  }

  /** Events are not compared: after a kill, those of the last turn may be there twice. */
  endsWith(): boolean {
    return false;
  }

  recordScanner(): JsonFileScanner {
    return this.#inner.recordScanner();
  }

  close(): void {
    this.#inner.close();
  }

  #continues(event: Event, frame: LogFrame): boolean {
    if (frame.source !== event.source || event.bytes + frame.lineEnd - frame.lineStart > maxEventBytes) return false;
    return !event.endsLine || this.#rule.continues(frame.line);
  }

  #hold(event: Event): boolean {
    const now = performance.now();
    const time = `${event.timeHigh}.${event.timeLow}`;
    if (this.#heldSince === undefined || this.#heldTime !== time) {
      this.#heldSince = now;
      this.#heldTime = time;
    }
    if (!this.#finishing && now - this.#heldSince < this.#rule.timeoutMs) return true;
    this.#heldSince = undefined;
    return false;
  }
}

function begin(frame: LogFrame): Event {
  const { frameStart: start, source, timeHigh, timeLow } = frame;
  const line = Buffer.from(frame.line);
  return {
    start,
    source,
    timeHigh,
    timeLow,
    pieces: [line],
    bytes: line.length,
    endsLine: !frame.partial || frame.last,
  };
}

function extend(event: Event, frame: LogFrame): void {
  if (event.endsLine) event.pieces.push(newline);
  event.pieces.push(Buffer.from(frame.line));
  event.bytes += frame.lineEnd - frame.lineStart + 1;
  event.endsLine = !frame.partial || frame.last;
}

function add(event: Event, batch: LogFrameBatch): void {
  const line = Buffer.concat(event.pieces);
  // An unfinished line stays one: no newline at the end of its record.
  const metadata = event.endsLine ? undefined : { id: '', ordinal: 1, last: false };
  batch.write(event.source, event.timeHigh, event.timeLow, line, 0, line.length, false, !event.endsLine, metadata);
}
