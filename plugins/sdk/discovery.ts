/**
 * Finds plugins by name as an engine does, first hit first:
 *
 *     SOCKET_DIR/NAME.sock   SOCKET_DIR/NAME/NAME.sock
 *     SPEC_DIR/NAME.spec     SPEC_DIR/NAME/NAME.spec     SPEC_DIR/NAME.json     SPEC_DIR/NAME/NAME.json
 *
 * with all of /etc/docker/plugins before all of /usr/lib/docker/plugins. A name is a file name without its extension; case
 * counts and nothing inside the file changes it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PluginError } from './errors.ts';
import { ENGINE_DELAYS_MS, pause } from './retry.ts';
import { type PluginAddress, parseJsonSpec, parseSpec } from './spec-file.ts';

export interface PluginDirectories {
  readonly socketDir: string;
  readonly specDirs: readonly string[];
}

export const defaultDirectories: PluginDirectories = {
  socketDir: '/run/docker/plugins',
  specDirs: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
};

/** What may be a plugin's name: no way out of the directories. Managed plugins have a tag behind a colon. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/;

/** One look. Throws PROTO_SPEC for a spec file that cannot be read; undefined when there is none. */
export function findPlugin(name: string, directories = defaultDirectories): PluginAddress | undefined {
  if (!NAME.test(name)) return undefined;
  for (const path of placesOf(directories.socketDir, name, 'sock')) {
    if (statSync(path, { throwIfNoEntry: false })?.isSocket()) return { url: `unix://${path}` };
  }
  for (const directory of directories.specDirs) {
    for (const path of placesOf(directory, name, 'spec')) {
      const text = readIfThere(path);
      if (text !== undefined) return parseSpec(text, path);
    }
    for (const path of placesOf(directory, name, 'json')) {
      const text = readIfThere(path);
      if (text !== undefined) return parseJsonSpec(text, path);
    }
  }
  return undefined;
}

/** Looks again after 1, 2, 4 and 8 s, as engines do, then throws PROTO_PLUGIN_NOT_FOUND. */
export async function discoverPlugin(
  name: string,
  directories = defaultDirectories,
  delaysMs: readonly number[] = ENGINE_DELAYS_MS,
  signal?: AbortSignal,
): Promise<PluginAddress> {
  for (let attempt = 0; ; attempt += 1) {
    const found = findPlugin(name, directories);
    if (found !== undefined) return found;
    const delayMs = delaysMs[attempt];
    if (delayMs === undefined) throw new PluginError('PROTO_PLUGIN_NOT_FOUND', `plugin "${name}" not found`);
    await pause(delayMs, signal);
  }
}

/** The names of all sockets and spec files, each once. */
export function listPlugins(directories = defaultDirectories): string[] {
  const names = new Set<string>();
  for (const directory of [directories.socketDir, ...directories.specDirs]) {
    const extensions = directory === directories.socketDir ? ['.sock'] : ['.spec', '.json'];
    for (const entry of entriesOf(directory)) {
      if (!entry.isDirectory) {
        const extension = extensions.find((end) => entry.name.endsWith(end));
        if (extension !== undefined) names.add(entry.name.slice(0, -extension.length));
      } else if (
        extensions.some((end) => statSync(join(directory, entry.name, entry.name + end), { throwIfNoEntry: false }))
      ) {
        names.add(entry.name);
      }
    }
  }
  return [...names].filter((name) => NAME.test(name)).sort();
}

function placesOf(directory: string, name: string, extension: string): string[] {
  return [join(directory, `${name}.${extension}`), join(directory, name, `${name}.${extension}`)];
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new PluginError('PROTO_SPEC', `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function entriesOf(directory: string): { name: string; isDirectory: boolean }[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).map((entry) => {
      return { name: entry.name, isDirectory: entry.isDirectory() };
    });
  } catch {
    return []; // Not there: no plugins there.
  }
}
