/** Where the entries of one container go as they come off the FIFO: a file format behind one interface. */
import type { LogFrame } from '../sdk/protocol/log-entry.ts';
import type { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';
import type { ActiveFile } from './files/active-file.ts';
import type { LogFiles } from './files/log-files.ts';
import type { RecordScanner } from './files/record-scanner.ts';

export interface LogWriter {
  readonly files: LogFiles;
  readonly active: ActiveFile;
  /** Lines and bytes of log text written since the process started. */
  readonly written: Written;
  /**
   * Writes every complete entry that the scanner still has. Returns the offset in the scanner's buffer up to which entries are
   * in the file. Throws when the disk refuses; `safePosition` then says how far it came.
   */
  write(scanner: LogFrameScanner): number;
  readonly safePosition: number;
  /** Entries are left in the pipe on purpose, until their event is complete. */
  readonly holding?: boolean;
  /** true: nothing will follow, so hold nothing back. */
  finish?(finishing: boolean): void;
  /** Whether the entry is byte for byte the last one of the file: written before a crash, not yet consumed. */
  endsWith(frame: LogFrame): boolean;
  recordScanner(): RecordScanner;
  close(): void;
}

export interface Written {
  lines: number;
  bytes: number;
}
