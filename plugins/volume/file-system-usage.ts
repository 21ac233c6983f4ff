/** How full a file system or a folder is. In child processes, with a deadline: it may be a server's. */
import { statfsSync } from 'node:fs';
import { runBounded } from '../linux/mount.ts';
import type { Budget, Usage } from './backend.ts';

/** Of a file system of this machine, which answers at once. */
export function fileSystemUsageNow(path: string): Usage {
  const { bsize, blocks, bfree, files, ffree } = statfsSync(path);
  return describe(bsize, blocks, bfree, files, ffree);
}

/** Of the file system that the path lies on, whatever is behind it. */
export async function measureFileSystem(path: string, budget: Budget): Promise<Usage> {
  const { stdout } = await runBounded('stat', ['-f', '-c', '%S %b %f %c %d', '--', path], timing(budget));
  const [size = 0, blocks = 0, free = 0, inodes = 0, freeInodes = 0] = stdout.trim().split(' ').map(Number);
  return describe(size, blocks, free, inodes, freeInodes);
}

function describe(size: number, blocks: number, free: number, inodes: number, freeInodes: number): Usage {
  return {
    usedBytes: (blocks - free) * size,
    limitBytes: blocks * size,
    // btrfs and some servers count no inodes and say 0.
    ...(inodes === 0 ? {} : { usedInodes: inodes - freeInodes, limitInodes: inodes }),
  };
}

/** By walking through it, on its own file system only. */
export async function measureFolder(path: string, budget: Budget): Promise<Usage> {
  const count = async (what: readonly string[]): Promise<number> => {
    const { stdout } = await runBounded('nice', ['-n', '19', 'du', '-sx', ...what, '--', path], timing(budget));
    return Number.parseInt(stdout, 10);
  };
  return { usedBytes: await count(['-B1']), usedInodes: await count(['--inodes']) };
}

function timing(budget: Budget): { timeoutMs: number; signal: AbortSignal } {
  return { timeoutMs: budget.left(), signal: budget.signal };
}
