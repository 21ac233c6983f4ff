/** Which OCI runtime runs the containers: runc or crun, whichever is there, or one added by `--add-runtime`. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export interface OciRuntime {
  readonly name: string;
  readonly path: string;
  /** Where it keeps what it knows of each container, below the container's id in some form; undefined: it may be told elsewhere. */
  readonly stateDir: string | undefined;
  /** The runc of this host, run as it is: what its folders mean is known (runc-state.ts). Others are asked for everything. */
  readonly isPlainRunc: boolean;
  /** Before the verb: where its state is, and what `--add-runtime` gave. */
  readonly globalArgs: readonly string[];
}

/** Name → program of every runtime that can be used; `added` wins over what is found on the PATH. */
export function findRuntimes(
  stateDir: string,
  added: Readonly<Record<string, { path: string; runtimeArgs?: readonly string[] }>>,
): Map<string, OciRuntime> {
  const runtimes = new Map<string, OciRuntime>();
  const stateOf = (name: string) => ({ stateDir: join(stateDir, name), globalArgs: ['--root', join(stateDir, name)] });
  for (const name of ['runc', 'crun']) {
    const path = findProgram(name);
    if (path !== undefined) runtimes.set(name, { name, path, ...stateOf(name), isPlainRunc: name === 'runc' });
  }
  for (const [name, { path, runtimeArgs }] of Object.entries(added)) {
    const found = path.includes('/') ? path : findProgram(path);
    if (found === undefined) throw new Error(`runtime "${name}": no program ${path}`);
    const { stateDir: folder, globalArgs } = stateOf(name);
    runtimes.set(name, {
      name,
      path: found,
      stateDir: runtimeArgs?.length ? undefined : folder,
      isPlainRunc: false,
      globalArgs: [...globalArgs, ...(runtimeArgs ?? [])],
    });
  }
  return runtimes;
}

export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin'];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
