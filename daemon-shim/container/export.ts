/** `docker export`: the tar of a container's whole root, running or not. */
import { archiveTree } from '../archive/tree-archive.ts';
import type { Engine } from '../engine.ts';
import { emitContainerEvent } from './event.ts';
import type { Container } from './registry.ts';
import { holdRoot, releaseRoot } from './root-mount.ts';

export async function* exportContainer(engine: Engine, container: Container): AsyncGenerator<Buffer> {
  const root = holdRoot(engine, container);
  try {
    yield* archiveTree(root);
    emitContainerEvent(engine, container, 'export');
  } finally {
    releaseRoot(engine, container);
  }
}
