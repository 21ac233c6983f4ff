/** Paths inside a container's root file system, resolved as its own processes would: links never lead out of it. */
import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const maxLinks = 40; // as the kernel: ELOOP after 40

/** The host path of `path` inside `root`; parts that do not exist are taken literally. The last link is followed unless told not to. */
export function resolveInRoot(root: string, path: string, options: { readonly followLast?: boolean } = {}): string {
  const pending = path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .reverse();
  const done: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() as string;
    if (part === '..') {
      done.pop();
      continue;
    }
    const candidate = join(root, ...done, part);
    const isLast = pending.length === 0;
    if (isLink(candidate) && !(isLast && options.followLast === false)) {
      links += 1;
      if (links > maxLinks)
        throw Object.assign(new Error(`too many levels of symbolic links: ${path}`), { code: 'ELOOP' });
      const target = readlinkSync(candidate);
      if (target.startsWith('/')) done.length = 0;
      pending.push(
        ...target
          .split('/')
          .filter((piece) => piece !== '' && piece !== '.')
          .reverse(),
      );
    } else {
      done.push(part);
    }
  }
  return join(root, ...done);
}

/** The file's text; empty when there is none. */
export function readInRoot(root: string, path: string): string {
  try {
    return readFileSync(resolveInRoot(root, path), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
