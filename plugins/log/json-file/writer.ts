/** Writes entries into Docker's json-file format, many at a time, rotating exactly where Docker does: before a record, once the size is reached. */
import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import type { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import { ActiveFile, type RotationLimits } from '../files/active-file.ts';
import type { LogFiles } from '../files/log-files.ts';
import { surveyRecords } from '../files/survey.ts';
import type { LogWriter, Written } from '../log-writer.ts';
import { JsonFileEncoder } from './format.ts';
import { JsonFileScanner } from './parse.ts';

/** Shared by all writers: it is empty between two calls of `write`. */
let out: Buffer = Buffer.allocUnsafe(256 * 1024);

export class JsonFileWriter implements LogWriter {
  readonly files: LogFiles;
  readonly active: ActiveFile;
  readonly written: Written = { lines: 0, bytes: 0 };
  safePosition = 0;
  readonly #encoder: JsonFileEncoder;

  constructor(files: LogFiles, limits: RotationLimits, attributes: string, onError: (error: unknown) => void) {
    this.files = files;
    this.active = new ActiveFile({
      files,
      limits,
      survey: (fd, from, size, onChunk) => surveyRecords(new JsonFileScanner(), fd, from, size, onChunk),
      onError,
    });
    this.#encoder = new JsonFileEncoder(attributes);
  }

  write(scanner: LogFrameScanner): number {
    const { active } = this;
    const { frame } = scanner;
    this.safePosition = scanner.position;
    active.open();
    const { maxSizeBytes } = active.limits;
    let at = 0;
    let records = 0;
    let lineBytes = 0;
    let latestHigh = 0;
    let latestLow = 0;
    while (scanner.next()) {
      const full = active.size + at >= maxSizeBytes;
      if (full || at + this.#encoder.bound(frame) > out.length) {
        this.#flush(at, { records, latestHigh, latestLow }, lineBytes, frame.frameStart);
        at = records = lineBytes = latestHigh = latestLow = 0;
        if (full) active.rotate();
        const bound = this.#encoder.bound(frame);
        if (bound > out.length) out = Buffer.allocUnsafe(bound * 2);
      }
      at = this.#encoder.write(out, at, frame);
      records++;
      lineBytes += frame.lineEnd - frame.lineStart;
      if (frame.timeHigh > latestHigh || (frame.timeHigh === latestHigh && frame.timeLow > latestLow)) {
        latestHigh = frame.timeHigh;
        latestLow = frame.timeLow;
      }
    }
    this.#flush(at, { records, latestHigh, latestLow }, lineBytes, scanner.position);
    return scanner.position;
  }

  endsWith(frame: LogFrame): boolean {
    const record = Buffer.allocUnsafe(this.#encoder.bound(frame));
    const length = this.#encoder.write(record, 0, frame);
    return this.active.readTail(length).equals(record.subarray(0, length));
  }

  recordScanner(): JsonFileScanner {
    return new JsonFileScanner();
  }

  close(): void {
    this.active.close();
  }

  #flush(
    bytes: number,
    facts: { readonly records: number; readonly latestHigh: number; readonly latestLow: number },
    lineBytes: number,
    position: number,
  ): void {
    if (bytes > 0) this.active.append(out, 0, bytes, facts);
    this.written.lines += facts.records;
    this.written.bytes += lineBytes;
    this.safePosition = position;
  }
}
