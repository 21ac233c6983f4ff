/** A credentials file in the form of mount.cifs(8): read at each mount, never kept in a record, never shown. */
import { readFileSync, statSync } from 'node:fs';
import { PluginError } from '../sdk/errors.ts';

const known: ReadonlyMap<string, string> = new Map([
  ['username', 'username'],
  ['user', 'username'],
  ['password', 'password'],
  ['pass', 'password'],
  ['domain', 'domain'],
  ['dom', 'domain'],
]);

/** Mount options to be kept off the command line. Throws VOL_CREDENTIALS. */
export function readCredentials(path: string): string {
  const text = readFile(path);
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const split = line.indexOf('=');
    const name = known.get(line.slice(0, split).trim().toLowerCase());
    if (split > 0 && name !== undefined) found.set(name, line.slice(split + 1).replace(/\r$/, ''));
  }
  if (!found.has('username'))
    throw new PluginError('VOL_CREDENTIALS', `credentials file ${path} has no username= line`);
  // A comma in a password is written twice for the kernel (fs/smb/client/fs_context.c).
  return [...found]
    .map(([name, value]) => `${name}=${name === 'password' ? value.replaceAll(',', ',,') : value}`)
    .join(',');
}

function readFile(path: string): string {
  try {
    const { mode, size } = statSync(path);
    if (size > 65_536) throw new Error('it is larger than 64 KiB');
    if ((mode & 0o077) !== 0)
      throw new Error(`its mode is ${(mode & 0o777).toString(8)}: others can read it; use chmod 600`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new PluginError('VOL_CREDENTIALS', `credentials file ${path} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
