/** Finds where the sound records of an existing file end, how many there are and the latest time among them. */
import { readSync } from 'node:fs';
import { compareTime } from '../nano-time.ts';
import type { BatchFacts } from './active-file.ts';
import type { RecordScanner } from './record-scanner.ts';

const chunkBytes = 1024 * 1024;
const longestRecordBytes = 16 * chunkBytes;

export interface Survey extends BatchFacts {
  readonly end: number;
}

/** `from` is where a record starts. `onBlock` hears of the state after each chunk, for whoever makes an index of it. */
export function surveyRecords(
  scanner: RecordScanner,
  fd: number,
  from: number,
  size: number,
  onChunk?: (soFar: Survey) => void,
): Survey {
  let buffer = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(1, size - from)));
  let end = from;
  let records = 0;
  let latestHigh = 0;
  let latestLow = 0;
  while (end < size) {
    const read = readSync(fd, buffer, 0, buffer.length, end);
    if (read === 0) break;
    scanner.reset(buffer, 0, read, false);
    while (scanner.next()) {
      records++;
      scanner.readTime();
      if (compareTime(scanner.timeHigh, scanner.timeLow, latestHigh, latestLow) > 0) {
        latestHigh = scanner.timeHigh;
        latestLow = scanner.timeLow;
      }
    }
    if (scanner.position === 0) {
      if (read < buffer.length || buffer.length >= longestRecordBytes || end + read >= size) break;
      buffer = Buffer.allocUnsafe(buffer.length * 2);
      continue;
    }
    end += scanner.position;
    onChunk?.({ end, records, latestHigh, latestLow });
  }
  return { end, records, latestHigh, latestLow };
}
