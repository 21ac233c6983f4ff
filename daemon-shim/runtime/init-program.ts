/** `--init`: the small init that is process 1 in the container, reaps what is left behind and passes signals on. */
import { closeSync, openSync, readSync } from 'node:fs';
import { ApiError } from '../api/api-error.ts';
import { findProgram } from './oci-runtime.ts';

const candidates = ['docker-init', 'tini-static', 'tini', 'catatonit'];
const PT_INTERP = 3; // <elf.h>

/** Host path of the first that needs no libraries, for the container may have none. Throws 400 when there is none. */
export function findInitProgram(given: string | undefined): string {
  for (const name of given === undefined ? candidates : [given]) {
    const path = name.includes('/') ? name : findProgram(name);
    if (path !== undefined && isStatic(path)) return path;
  }
  throw new ApiError(
    400,
    'failed to create task for container: no init program: install docker-init, tini-static or catatonit (statically linked), or run without --init',
  );
}

/** An ELF program without interpreter. elf(5). */
function isStatic(path: string): boolean {
  const head = Buffer.alloc(4096);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head);
  } finally {
    closeSync(fd);
  }
  if (head.toString('latin1', 0, 4) !== '\x7fELF' || head[4] !== 2) return false; // 64-bit only
  const offset = Number(head.readBigUInt64LE(32));
  const size = head.readUInt16LE(54);
  const count = head.readUInt16LE(56);
  for (let index = 0; index < count && offset + (index + 1) * size <= head.length; index += 1) {
    if (head.readUInt32LE(offset + index * size) === PT_INTERP) return false;
  }
  return true;
}
