/** The version of the default OCI runtime, asked once for each program. */
import { runCommand } from '../../plugins/linux/command.ts';
import type { Engine } from '../engine.ts';

export interface RuntimeVersion {
  readonly name: string;
  readonly version: string;
}

const known = new Map<string, Promise<RuntimeVersion | undefined>>();
const timeoutMs = 3000;

/** Undefined when it does not tell. */
export function runtimeVersion(engine: Engine): Promise<RuntimeVersion | undefined> {
  const runtime = engine.runtimes.get(engine.config.defaultRuntime);
  if (runtime === undefined) return Promise.resolve(undefined);
  const asked = known.get(runtime.path) ?? ask(runtime.name, runtime.path);
  known.set(runtime.path, asked);
  return asked;
}

/** First line: `runc version 1.1.5+ds1`, `crun version 1.8.1`. */
async function ask(name: string, path: string): Promise<RuntimeVersion | undefined> {
  try {
    const { stdout } = await runCommand(path, ['--version'], { timeoutMs });
    const version = /version (\S+)/.exec(stdout)?.[1];
    return version === undefined ? undefined : { name, version };
  } catch {
    return undefined;
  }
}
