/** The working folder of the container's process, made when the image does not have it, as Docker does. */
import { mkdirSync, statSync } from 'node:fs';
import { ApiError, badRequest } from '../api/api-error.ts';
import { resolveInRoot } from '../runtime/root-file.ts';

export function makeWorkingFolder(root: string, path: string): void {
  if (path === '' || path === '/') return;
  const folder = resolveInRoot(root, path);
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory()) return;
  if (found !== undefined) throw badRequest(`Cannot mkdir: ${path} is not a directory`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new ApiError(400, `Cannot mkdir: ${path} is not a directory`, { cause: error });
  }
}
