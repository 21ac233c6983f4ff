/** Which packages this one depends on, and where they are installed. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Name → folder, of all that the package in `from` needs to run, looked up as Node does. What is optional may be missing. */
export function packageFolders(from: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const add = (folder: string): void => {
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Manifest;
    for (const name of Object.keys({ ...optionalDependencies, ...dependencies })) {
      if (found.has(name)) continue;
      const there = findPackage(name, folder);
      if (there === undefined && optionalDependencies?.[name] !== undefined) continue;
      if (there === undefined) throw new Error(`the package ${name} is not installed`);
      // Below another package: copied together with it.
      if (!there.startsWith(join(folder, 'node_modules/')) || folder === from) found.set(name, there);
      add(there);
    }
  };
  add(from);
  return found;
}

function findPackage(name: string, from: string): string | undefined {
  const folder = join(from, 'node_modules', name);
  if (existsSync(join(folder, 'package.json'))) return folder;
  return dirname(from) === from ? undefined : findPackage(name, dirname(from));
}
