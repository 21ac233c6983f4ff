/**
 * Unpacks the tar on its standard input inside a container's root: `node extract-child.ts JSON` with root, base, keepKinds
 * and owner. It makes the root its own (chroot) before it reads the first byte. A failure is one line of JSON on its
 * standard error.
 */
import { readSync, realpathSync } from 'node:fs';
import { check, libc } from '../../plugins/linux/syscall.ts';
import { ApiError } from '../api/api-error.ts';
import { TarError } from '../archive/tar-entry.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { LayerExtractor } from '../image/layer-extract.ts';
import type { ChildRequest } from './copy.ts';

const readBytes = 1 << 18;

// The argument comes from copy.ts alone.
const { root, base, keepKinds, owner, readOnlyWords } = JSON.parse(process.argv[2] ?? '{}') as ChildRequest;

try {
  process.umask(0);
  check(libc.chroot(root), 'chroot', root);
  process.chdir('/');
  const extractor = new LayerExtractor('/', {
    whiteouts: false,
    base: realpathSync(base),
    keepKinds,
    ...(owner ? { owner } : {}),
  });
  const reader = new TarReader(extractor);
  const buffer = Buffer.alloc(readBytes);
  // Blocking reads: there is nothing else to do here.
  for (let size = readSync(0, buffer); size > 0; size = readSync(0, buffer))
    reader.push(Buffer.from(buffer.subarray(0, size)));
  reader.finish();
  extractor.finish();
} catch (error) {
  process.stderr.write(`${JSON.stringify(describe(error as NodeJS.ErrnoException))}\n`);
  process.exitCode = 1;
}

function describe(error: NodeJS.ErrnoException): { statusCode: number; message: string } {
  if (error.code === 'EROFS') return { statusCode: 403, message: readOnlyWords };
  if (error instanceof ApiError) return { statusCode: error.statusCode, message: error.message };
  if (error instanceof TarError) return { statusCode: 400, message: error.message };
  return { statusCode: 500, message: error.message };
}
