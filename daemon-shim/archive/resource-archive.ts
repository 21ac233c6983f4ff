/** The tar of one file or folder under a name of the caller's choosing, as `docker cp` reads it. */
import { lstatSync } from 'node:fs';
import { bytesText } from './tar-entry.ts';
import { endOfArchive } from './tar-writer.ts';
import { archiveNode } from './tree-archive.ts';
import { walkTree } from './tree-walk.ts';

/** `path` is not followed at its end. A folder's contents are below the name: `etc/passwd`; `/passwd` for the empty name. */
export async function* archiveResource(path: string, name: string): AsyncGenerator<Buffer> {
  const links = new Map<string, string>();
  const top = bytesText(name);
  const stat = lstatSync(path);
  if (!stat.isDirectory()) yield* archiveNode({ name: top, stat, path }, links);
  else
    for (const node of walkTree(path))
      yield* archiveNode(node.name === '' ? { ...node, name: top } : { ...node, name: `${top}/${node.name}` }, links);
  yield endOfArchive;
}
