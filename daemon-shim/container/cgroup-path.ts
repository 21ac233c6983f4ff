/** Where a container's control groups are. */
import { join } from 'node:path';
import type { Engine } from '../engine.ts';
import type { Container } from './registry.ts';

/** Below every controller's root (version 1), below the one root (version 2). */
export function cgroupPathOf(engine: Engine, container: Container): string {
  return join('/', container.record.hostConfig.CgroupParent || engine.config.cgroupParent || 'cleat', container.id);
}
