/** Which OCI runtime a container runs on. */
import { badRequest } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';

/** An empty name is the default runtime. */
export function chooseRuntime(engine: Engine, name: string): OciRuntime {
  const wanted = name || engine.config.defaultRuntime;
  const runtime = engine.runtimes.get(wanted);
  if (runtime === undefined) throw badRequest(`unknown or invalid runtime name: ${wanted}`);
  return runtime;
}
