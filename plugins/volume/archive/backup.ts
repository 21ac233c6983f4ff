/** Writes a folder as a compressed tar with a checksum: numeric owners, extended attributes, ACLs, holes. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { feed, startStage } from './pipeline.ts';
import { encodeTrailer, type Trailer } from './trailer.ts';

export interface BackupRequest {
  readonly folder: string;
  readonly about: Pick<Trailer, 'volume' | 'driver' | 'options'>;
  /** undefined: standard output. A file appears under its name when it is whole. */
  readonly file: string | undefined;
  readonly onProgress: (bytes: number) => void;
}

export interface BackupResult {
  readonly trailer: Trailer;
  /** Files changed while they were read: what they hold in the backup is neither old nor new. */
  readonly changed: boolean;
}

/** tar's exit code for "file changed as we read it". */
const changedExit = 1;

export async function writeBackup(request: BackupRequest): Promise<BackupResult> {
  const { file } = request;
  if (file === undefined) return await stream(request, process.stdout, false);
  const unfinished = `${file}.part`;
  const output = createWriteStream(unfinished, { mode: 0o600 });
  try {
    const result = await stream(request, output, true);
    await rename(unfinished, file);
    await syncFolder(dirname(file));
    return result;
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function stream(
  { folder, about, onProgress }: BackupRequest,
  output: Writable,
  end: boolean,
): Promise<BackupResult> {
  const metadata = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', '--sparse', '--one-file-system'];
  const tar = startStage(
    'tar',
    ['--create', ...metadata, '--file=-', `--directory=${folder}`, '.'],
    ['ignore', 'pipe'],
    [0, changedExit],
  );
  const zstd = startStage('zstd', ['-q', '-T0', '-c'], ['pipe', 'pipe']);
  const hash = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      onProgress(bytes);
      done(null, chunk);
    },
  });
  const stages = [
    // Both children are given with these pipes.
    feed(tar.child.stdout as NodeJS.ReadableStream, count, zstd.child.stdin as NodeJS.WritableStream),
    pipeline(zstd.child.stdout as NodeJS.ReadableStream, output, { end: false }),
    zstd.done,
  ];
  await Promise.all(stages);
  const code = await tar.done;
  const trailer: Trailer = {
    format: 1,
    ...about,
    createdAt: new Date().toISOString(),
    sha256: hash.digest('hex'),
    bytes,
  };
  await write(output, encodeTrailer(trailer), end);
  return { trailer, changed: code === changedExit };
}

async function write(output: Writable, data: Buffer, end: boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    output.once('error', reject);
    if (end) output.end(data, () => resolve());
    else output.write(data, (error) => (error ? reject(error) : resolve()));
  });
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
