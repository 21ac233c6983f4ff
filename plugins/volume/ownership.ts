/** uid, gid and mode of a volume's root, and with `recursive` of everything in it. In child processes: it may be a server's. */

import { CommandError } from '../linux/command.ts';
import { runBounded } from '../linux/mount.ts';
import { PluginError } from '../sdk/errors.ts';
import type { Budget } from './backend.ts';
import { type CommonConfig, type Ownership, ownershipOf, ownsNothing } from './common-options.ts';

/**
 * Sets the root's owner and mode where they differ. At each mount, since the engine's copy of an image's files into an empty
 * volume gives its root the owner that the image's folder has.
 */
export async function applyOwnership(
  path: string,
  config: CommonConfig,
  first: boolean,
  budget: Budget,
): Promise<void> {
  const owner = ownershipOf(config);
  if (ownsNothing(owner)) return;
  const recursive = config.recursive && first;
  if (!recursive && (await isOwned(path, owner, budget))) return;
  const flags = recursive ? ['-R'] : [];
  const who = `${owner.uid ?? ''}${owner.gid === undefined ? '' : `:${owner.gid}`}`;
  // -h: a symbolic link inside is changed itself, not what it points to; chmod -R never follows one.
  if (who !== '') await run('chown', [...flags, '-h', '--', who, path], budget);
  if (owner.mode !== undefined)
    await run('chmod', [...flags, '--', owner.mode.toString(8).padStart(4, '0'), path], budget);
}

async function isOwned(path: string, { uid, gid, mode }: Ownership, budget: Budget): Promise<boolean> {
  const [isUid, isGid, isMode] = (await run('stat', ['-c', '%u %g %a', '--', path], budget)).trim().split(' ');
  return (
    (uid === undefined || uid === Number(isUid)) &&
    (gid === undefined || gid === Number(isGid)) &&
    (mode === undefined || mode === Number.parseInt(isMode ?? '', 8))
  );
}

async function run(file: string, args: readonly string[], budget: Budget): Promise<string> {
  try {
    return (await runBounded(file, args, { timeoutMs: budget.left(), signal: budget.signal })).stdout;
  } catch (error) {
    const failed = error instanceof CommandError && error.reason === 'exit';
    const reason = failed ? error.stderr.trim() : 'it took too long';
    throw new PluginError(
      failed ? 'VOL_DEVICE' : 'VOL_MOUNT_TIMEOUT',
      `owner or mode of the volume's root: ${reason}`,
      {
        hint: 'uid, gid and mode need a file system, or an export without root_squash, that allows root to set them',
        cause: error,
      },
    );
  }
}
