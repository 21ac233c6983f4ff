/** Copies everything in one folder into another that is empty: by reflink where the file system has it, which costs no room. */
import { readdirSync } from 'node:fs';
import { runCommand } from '../../linux/command.ts';
import { PluginError } from '../../sdk/errors.ts';

const timeoutMs = 24 * 3_600_000;

export async function copyFolder(from: string, to: string): Promise<void> {
  if (readdirSync(to).length > 0) throw new PluginError('VOL_BACKUP', `the volume to copy to is not empty: ${to}`);
  try {
    await runCommand('cp', ['--archive', '--reflink=auto', '--one-file-system', '--', `${from}/.`, `${to}/`], {
      timeoutMs,
    });
  } catch (error) {
    throw new PluginError('VOL_BACKUP', `the copy failed: ${(error as Error).message}`, { cause: error });
  }
}
