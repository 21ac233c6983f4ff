/** `cp`: what a path in a container is, its contents as a tar, and a tar unpacked into one of its folders. */
import { spawn } from 'node:child_process';
import { closeSync, lstatSync, readlinkSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { isKernelError, KernelError } from '../../plugins/linux/errors.ts';
import { isAtOrBelow } from '../../plugins/linux/mountinfo.ts';
import { openInRoot } from '../../plugins/linux/open-in-root.ts';
import { ApiError, badRequest, notFound } from '../api/api-error.ts';
import { decompress } from '../archive/compression.ts';
import { archiveResource } from '../archive/resource-archive.ts';
import type { Engine } from '../engine.ts';
import { resolveInRoot } from '../runtime/root-file.ts';
import { findUser } from '../runtime/user.ts';
import { emitContainerEvent } from './event.ts';
import type { Container } from './registry.ts';
import { visitWholeRoot } from './whole-root.ts';

/** As the `X-Docker-Container-Path-Stat` header carries it. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  /** Go's os.FileMode. */
  readonly mode: number;
  readonly mtime: string;
  /** Where a link leads inside the container; empty for what is none. */
  readonly linkTarget: string;
}

interface Place {
  /** Not followed at its end. */
  readonly path: string;
  readonly stat: PathStat;
}

export function statPath(engine: Engine, container: Container, path: string): Promise<PathStat> {
  return visitWholeRoot(engine, container, async (root) => withPlace(root, container, path, async ({ stat }) => stat));
}

/** `send` gets what the path is, and its archive, to be read before it returns. */
export function archivePath(
  engine: Engine,
  container: Container,
  path: string,
  send: (stat: PathStat, archive: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  return visitWholeRoot(engine, container, async (root) => {
    await withPlace(root, container, path, (place) => send(place.stat, archiveResource(place.path, archiveName(path))));
    emitContainerEvent(engine, container, 'archive-path');
  });
}

export interface ExtractRequest {
  readonly path: string;
  /** `noOverwriteDirNonDir`. */
  readonly keepKinds: boolean;
  /** `copyUIDGID`: everything becomes the container's user's. */
  readonly ownedByUser: boolean;
}

export function extractInto(
  engine: Engine,
  container: Container,
  request: ExtractRequest,
  archive: AsyncIterable<Buffer>,
): Promise<void> {
  return visitWholeRoot(engine, container, async (root) => {
    // Refused before anything is read: not there, or no folder.
    await withPlace(root, container, `${request.path}/`, async () => {});
    const user =
      request.ownedByUser && container.record.config.User !== ''
        ? findUser(root, container.record.config.User, [])
        : undefined;
    await extractInChild(
      {
        root,
        base: request.path,
        keepKinds: request.keepKinds,
        readOnlyWords: readOnlyWords(container, request.path),
        ...(user === undefined ? {} : { owner: { uid: user.uid, gid: user.gid } }),
      },
      archive,
    );
    emitContainerEvent(engine, container, 'extract-to-dir');
  });
}

/** What is said when the kernel says EROFS. */
function readOnlyWords(container: Container, path: string): string {
  const mount = container.record.mounts.findLast(({ destination }) =>
    isAtOrBelow(posix.normalize(`/${path}`), destination),
  );
  return mount?.rw === false ? 'mounted volume is marked read-only' : 'container rootfs is marked read-only';
}

async function withPlace<T>(
  root: string,
  container: Container,
  given: string,
  visit: (place: Place) => Promise<T>,
): Promise<T> {
  if (given === '' || given.includes('\0')) throw badRequest('bad parameter: path cannot be empty');
  const path = posix.normalize(`/${given}`);
  const asFolder = /\/\.?$/.test(given);
  const bare = path.replace(/(.)\/$/, '$1');
  const fds: number[] = [];
  try {
    const place = asFolder || bare === '/' ? openFolder(root, bare, fds) : openNamed(root, bare, fds);
    const stat = lstatSync(place);
    if (asFolder && !stat.isDirectory()) throw badRequest(`extraction point is not a directory`);
    return await visit({ path: place, stat: describe(root, bare, place, stat) });
  } catch (error) {
    if (isKernelError(error, 'ENOENT') || (error as NodeJS.ErrnoException).code === 'ENOENT')
      throw notFound(`Could not find the file ${given.replace(/(.)\/$/, '$1')} in container ${container.record.name}`);
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') throw badRequest(`${given}: not a directory`);
    if (error instanceof KernelError) throw badRequest(`${given}: ${error.message}`);
    throw error;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** The last part is not followed: a link is a link. */
function openNamed(root: string, path: string, fds: number[]): string {
  const parent = openInRoot(root, posix.dirname(path), { followLast: true });
  fds.push(parent);
  return `/proc/self/fd/${parent}/${posix.basename(path)}`;
}

function openFolder(root: string, path: string, fds: number[]): string {
  const fd = openInRoot(root, path, { followLast: true });
  fds.push(fd);
  return `/proc/self/fd/${fd}/.`;
}

function describe(root: string, path: string, place: string, stat: Stats): PathStat {
  return {
    name: posix.basename(path) || '/',
    size: stat.size,
    mode: goFileMode(stat),
    mtime: stat.mtime.toISOString().replace(/\.000Z$/, 'Z'),
    linkTarget: stat.isSymbolicLink() ? linkTarget(root, path, place) : '',
  };
}

/** Only shown; what is done with it goes through openInRoot again. */
function linkTarget(root: string, path: string, place: string): string {
  try {
    return resolveInRoot(root, path).slice(root.length) || '/';
  } catch {
    return readlinkSync(place);
  }
}

/** The name under which the archive has the resource: `.` for `/etc/.`, nothing for the root. */
function archiveName(path: string): string {
  if (/(^|\/)\.$/.test(path)) return '.';
  return posix.basename(posix.normalize(`/${path}`));
}

/** Bits of Go's io/fs.FileMode. */
export function goFileMode(stat: Stats): number {
  const bits: readonly (readonly [boolean, number])[] = [
    [stat.isDirectory(), 31],
    [stat.isSymbolicLink(), 27],
    [stat.isBlockDevice() || stat.isCharacterDevice(), 26],
    [stat.isFIFO(), 25],
    [stat.isSocket(), 24],
    [(stat.mode & 0o4000) !== 0, 23],
    [(stat.mode & 0o2000) !== 0, 22],
    [stat.isCharacterDevice(), 21],
    [(stat.mode & 0o1000) !== 0, 20],
  ];
  return bits.reduce((mode, [holds, bit]) => (holds ? mode + 2 ** bit : mode), stat.mode & 0o777);
}

export interface ChildRequest {
  readonly root: string;
  readonly base: string;
  readonly keepKinds: boolean;
  readonly readOnlyWords: string;
  readonly owner?: { readonly uid: number; readonly gid: number };
}

const childFile = fileURLToPath(
  new URL(`extract-child${import.meta.filename.endsWith('.js') ? '.js' : '.ts'}`, import.meta.url),
);

/** A process of its own, with the container's root as its root: no name and no link of the archive leads out of it. */
async function extractInChild(request: ChildRequest, archive: AsyncIterable<Buffer>): Promise<void> {
  const child = spawn(process.execPath, ['--no-warnings', childFile, JSON.stringify(request)], {
    stdio: ['pipe', 'ignore', 'pipe'],
    cwd: '/',
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (words.length < 10_000) words += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  child.on('error', () => {});
  const fed = await pipeline(Readable.from(decompress(archive)), child.stdin).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error,
  );
  const code = await ended;
  if (code !== 0) throw childFailure(words, fed);
  if (fed !== undefined && fed.code !== 'EPIPE') throw fed;
}

function childFailure(words: string, fed: Error | undefined): Error {
  const last = words.trim().split('\n').at(-1) ?? '';
  try {
    const { statusCode, message } = JSON.parse(last) as { statusCode: number; message: string };
    return new ApiError(statusCode, message);
  } catch {
    return fed instanceof ApiError
      ? fed
      : new ApiError(500, `unpacking the archive: ${last || 'the process was ended'}`);
  }
}
