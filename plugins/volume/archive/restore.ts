/**
 * Reads a backup into a folder. Everything is unpacked beside what is there and its checksum compared; only then does it
 * take the place of what was there. A backup that is damaged or cut short changes nothing.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { chmod, chown, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { removeTree } from '../../linux/remove-tree.ts';
import { PluginError } from '../../sdk/errors.ts';
import { feed, startStage } from './pipeline.ts';
import { findTrailer, maxTrailerSize, type Trailer } from './trailer.ts';

export interface RestoreRequest {
  readonly input: Readable;
  readonly folder: string;
  /** Whether what is there may go. */
  readonly replace: boolean;
  readonly onProgress: (bytes: number) => void;
}

export async function readBackup(request: RestoreRequest): Promise<Trailer> {
  const { folder, replace } = request;
  const before = readdirSync(folder);
  if (before.length > 0 && !replace) {
    throw new PluginError('VOL_BACKUP', `the volume is not empty: it has ${before.length} entries`, {
      hint: 'give --force to replace what is in it',
    });
  }
  const staging = join(folder, `.cleat-restore-${randomUUID()}`);
  mkdirSync(staging, { mode: 0o700 });
  try {
    const trailer = await unpack(request, staging);
    await moveInto(folder, staging, before);
    return trailer;
  } finally {
    await removeTree(staging);
  }
}

async function unpack({ input, onProgress }: RestoreRequest, staging: string): Promise<Trailer> {
  const zstd = startStage('zstd', ['-q', '-d', '-c'], ['pipe', 'pipe']);
  const tar = startStage(
    'tar',
    [
      '--extract',
      '--numeric-owner',
      '--preserve-permissions',
      '--xattrs',
      '--xattrs-include=*',
      '--acls',
      '--file=-',
      `--directory=${staging}`,
    ],
    ['pipe', 'ignore'],
  );
  const hash = createHash('sha256');
  let bytes = 0;
  const last: Buffer[] = [];
  let lastSize = 0;
  const keepEnd = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      last.push(chunk);
      lastSize += chunk.length;
      while (lastSize - (last[0]?.length ?? 0) > maxTrailerSize) lastSize -= last.shift()?.length ?? 0;
      done(null, chunk);
    },
  });
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      onProgress(bytes);
      done(null, chunk);
    },
  });
  const results = await Promise.allSettled([
    // The children are given with these pipes.
    feed(input, keepEnd, zstd.child.stdin as NodeJS.WritableStream),
    feed(zstd.child.stdout as NodeJS.ReadableStream, count, tar.child.stdin as NodeJS.WritableStream),
    zstd.done,
    tar.done,
  ]);
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  // A child's own words say more than the broken pipe beside it.
  const failure = failures.find((error) => error instanceof PluginError) ?? failures[0];
  if (failure !== undefined)
    throw new PluginError('VOL_BACKUP', `the backup cannot be read: ${(failure as Error).message}`, { cause: failure });
  const trailer = findTrailer(Buffer.concat(last));
  if (trailer === undefined) throw new PluginError('VOL_BACKUP', 'the backup is incomplete: its end is missing');
  if (trailer.bytes !== bytes || trailer.sha256 !== hash.digest('hex')) {
    throw new PluginError('VOL_BACKUP', 'the backup is damaged: its checksum differs');
  }
  return trailer;
}

async function moveInto(folder: string, staging: string, before: readonly string[]): Promise<void> {
  const root = await stat(staging);
  const old = join(folder, `.cleat-replaced-${randomUUID()}`);
  if (before.length > 0) {
    mkdirSync(old, { mode: 0o700 });
    for (const name of before) renameSync(join(folder, name), join(old, name));
  }
  for (const name of readdirSync(staging)) renameSync(join(staging, name), join(folder, name));
  if (before.length > 0) await removeTree(old);
  await chown(folder, root.uid, root.gid);
  await chmod(folder, root.mode & 0o7777);
  await utimes(folder, root.atime, root.mtime);
}
