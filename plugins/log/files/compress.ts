/** Compresses rotated log files in the background, one at a time on this host, and never leaves a half-made one under its final name. */
import { createReadStream, createWriteStream, fstatSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { LogFile, LogFiles } from './log-files.ts';
import { copyTimeIndex, readFingerprint, removeTimeIndex } from './time-index.ts';

let queue: Promise<void> = Promise.resolve();

/** Settles when the file is compressed, or was removed or failed meanwhile; never rejects. */
export function compressLater(files: LogFiles, file: LogFile, onError: (error: unknown) => void): Promise<void> {
  // The log may be closed and opened again before its turn comes: the chain is then renamed under the same objects.
  const release = files.hold();
  queue = queue
    .then(() => compress(files, file))
    .catch(onError)
    .finally(release);
  return queue;
}

async function compress(files: LogFiles, file: LogFile): Promise<void> {
  if (file.removed || file.compressed) return;
  // Opened at once: a stream opens its path later, when a rotation may have given that name to the next file.
  const fd = openSync(file.path, 'r');
  const inode = fstatSync(fd).ino;
  const fingerprint = readFingerprint(fd);
  const source = createReadStream('', { fd });
  const temporary = `${files.indexPathOf(inode)}.gz.tmp`;
  try {
    await pipeline(source, createGzip({ level: 1 }), createWriteStream(temporary, { mode: 0o640 }));
    if (file.removed) return;
    // The chain may have been renamed meanwhile: file.path is the present name.
    const plain = file.path;
    const made = statSync(temporary);
    copyTimeIndex(files.indexPathOf(inode), files.indexPathOf(made.ino), fingerprint, made.size);
    renameSync(temporary, `${plain}.gz`);
    file.path = `${plain}.gz`;
    file.compressed = true;
    rmSync(plain, { force: true });
    removeTimeIndex(files.indexPathOf(inode));
  } finally {
    rmSync(temporary, { force: true });
  }
}
