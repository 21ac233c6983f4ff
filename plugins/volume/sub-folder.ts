/** `subdir=`: a folder inside a mounted file system as the root of a volume, made there when it is missing. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandError } from '../linux/command.ts';
import { type FolderOwner, makeFolders } from '../linux/make-folders.ts';
import { runBounded } from '../linux/mount.ts';
import { PluginError } from '../sdk/errors.ts';
import { custom } from '../sdk/option-kinds.ts';
import type { Budget } from './backend.ts';

/** Parts of a path below the root: relative, and never upwards. */
export const subFolderOption = custom('subdir', {
  expected: 'a relative path such as data/www, without ".." in it',
  find: (value: string) => findParts(value),
});

export function findParts(path: string): readonly string[] | undefined {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || path.includes('\0') || path.length > 1024) return undefined;
  return parts.some((part) => part === '..' || part.length > 255) ? undefined : parts;
}

/** Ends in .ts in the checkout and in .js in the built package, as this file does. */
const childScript = fileURLToPath(new URL(`../linux/make-folders-child${extname(import.meta.url)}`, import.meta.url));

/** On a file system of this machine, which answers. */
export function makeLocalSubFolder(base: string, parts: readonly string[], owner: FolderOwner): void {
  try {
    makeFolders(base, parts, owner);
  } catch (error) {
    throw subFolderError(parts, (error as Error).message, error);
  }
}

/** In a child process: the file system may be one of a server that has gone. */
export async function makeRemoteSubFolder(
  base: string,
  parts: readonly string[],
  owner: FolderOwner,
  budget: Budget,
): Promise<void> {
  const request = JSON.stringify({ base, parts, owner });
  try {
    await runBounded(process.execPath, ['--disable-warning=ExperimentalWarning', childScript, request], {
      timeoutMs: budget.left(),
      signal: budget.signal,
    });
  } catch (error) {
    throw subFolderError(
      parts,
      error instanceof CommandError && error.reason === 'exit' ? error.stderr.trim() : 'it took too long',
      error,
    );
  }
}

function subFolderError(parts: readonly string[], why: string, cause: unknown): PluginError {
  return new PluginError('VOL_DEVICE', `sub-folder ${parts.join('/')} could not be made: ${why}`, {
    hint: 'no part of it may be a symbolic link, and root must be allowed to write there',
    cause,
  });
}
