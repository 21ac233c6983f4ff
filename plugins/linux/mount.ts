/**
 * Mounts and unmounts, each in a child process with a deadline: a dead server blocks the child, never us. Helpers such as
 * mount.nfs are not used (`-i`): what is asked for is what mount(2) gets, as an engine's built-in driver calls it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, type CommandResult, runCommand } from './command.ts';

export interface MountSpec {
  readonly source: string;
  readonly target: string;
  /** Absent for a bind mount. */
  readonly fsType?: string;
  /** As after `mount -o`, not split: values may hold quoted commas. */
  readonly options?: string;
  /** More options, kept off the command line, which every user can read. */
  readonly secret?: {
    readonly options: string;
    /** A folder in memory (RUN_DIR) for a file that lives as long as the command. */
    readonly folder: string;
  };
}

export interface MountTiming {
  /** The child is ended after this, and no longer waited for a second later: nothing ends a child that hangs in the kernel. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export type UnmountKind =
  /** Fails with EBUSY while something uses it. */
  | 'plain'
  /** MNT_FORCE: pending requests to a dead server fail. */
  | 'force'
  /** MNT_DETACH: out of sight at once, gone when the last user is. */
  | 'lazy';

export async function mountFileSystem(spec: MountSpec, timing: MountTiming): Promise<void> {
  if (spec.secret !== undefined) return await mountBySecretTable(spec, spec.secret, timing);
  const fsType = spec.fsType === undefined ? [] : ['-t', spec.fsType];
  const options = spec.options === undefined || spec.options === '' ? [] : ['-o', spec.options];
  await runBounded('mount', ['-i', '-n', '-c', ...fsType, ...options, '--', spec.source, spec.target], timing);
}

/** `mount -T` reads the options from a table of its own; it wants a real file, no pipe. */
async function mountBySecretTable(
  spec: MountSpec,
  secret: { options: string; folder: string },
  timing: MountTiming,
): Promise<void> {
  const folder = await mkdtemp(join(secret.folder, 'mount-'));
  try {
    const options = [spec.options, secret.options].filter(Boolean).join(',');
    const fields = [spec.source, spec.target, spec.fsType ?? 'none', options].map(escapeField);
    const table = join(folder, 'table');
    await writeFile(table, `${fields.join(' ')} 0 0\n`, { mode: 0o600 });
    await runBounded('mount', ['-i', '-n', '-c', '-T', table, '--', spec.target], timing);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Blanks and backslashes are octal, as in fstab(5). */
function escapeField(text: string): string {
  return text.replaceAll(/[\s\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

export async function bindMount(source: string, target: string, options: string, timing: MountTiming): Promise<void> {
  await mountFileSystem({ source, target, options: options === '' ? 'bind' : `bind,${options}` }, timing);
}

/** Unmounts the top mount at the target. Throws CommandError: "not mounted" and "target is busy" are its own words. */
export async function unmountTarget(target: string, kind: UnmountKind, timing: MountTiming): Promise<void> {
  const flags = { plain: [], force: ['-f'], lazy: ['-l'] }[kind];
  await runBounded('umount', ['-i', '-n', '-c', ...flags, '--', target], timing);
}

/**
 * A command that may hang in the kernel. The child is told to end at the deadline; when even SIGKILL does not end it (it
 * sleeps uninterruptibly), it is left behind and the deadline's error comes all the same.
 */
export async function runBounded(
  file: string,
  args: readonly string[],
  { timeoutMs, signal }: MountTiming,
): Promise<CommandResult> {
  const running = runCommand(file, args, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
  const { promise: leftBehind, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(
      new CommandError({
        reason: 'timeout',
        file,
        args,
        exitCode: null,
        stdout: '',
        stderr: '',
        explanation: `did not end within ${timeoutMs} ms and hangs in the kernel`,
      }),
    );
  }, timeoutMs + 1000);
  try {
    return await Promise.race([running, leftBehind]);
  } finally {
    clearTimeout(timer);
    running.catch(() => {});
  }
}
