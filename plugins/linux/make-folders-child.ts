/**
 * makeFolders in a process of its own, for a file system whose server may be dead: `node make-folders-child.ts JSON` with
 * base, parts and owner. Its standard error is the reason of a failure.
 */
import { type FolderOwner, makeFolders } from './make-folders.ts';

interface Request {
  readonly base: string;
  readonly parts: readonly string[];
  readonly owner: FolderOwner;
}

// The argument comes from makeFoldersInChild alone.
const { base, parts, owner } = JSON.parse(process.argv[2] ?? '{}') as Request;
try {
  makeFolders(base, parts, owner);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
