/** How the reader walks through a log file of either format: records in a buffer, one after the other, without copies. */

import type { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';

export interface RecordScanner {
  /** Where the next record starts; after `next` returned false, where the incomplete rest starts. */
  readonly position: number;
  readonly recordStart: number;
  /** Valid after `readTime`: nanoseconds since 1970 in two halves. */
  readonly timeHigh: number;
  readonly timeLow: number;
  /** Bytes that belonged to no sound record and were passed over. */
  readonly damagedBytes: number;
  /** The buffer may start at any record that an index names; `atEnd`: nothing follows, the rest can be judged. */
  reset(buffer: Buffer, start: number, end: number, atEnd: boolean): void;
  /** False when no complete record is left. */
  next(): boolean;
  /** Decodes the current record's time. */
  readTime(): void;
  /** Adds the current record as ReadLogs sends it. */
  addTo(batch: LogFrameBatch): void;
}
