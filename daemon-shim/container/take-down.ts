/**
 * Everything that a running container has on the host, taken away: after its end, and after a start that a dying shim left
 * half done. Each step is tried, whatever the others did.
 */
import { rmSync } from 'node:fs';
import type { Engine } from '../engine.ts';
import { removeGroups } from '../runtime/cgroup.ts';
import { endHolder } from '../runtime/fifo-holder.ts';
import { forgetInRuntime } from '../runtime/monitor.ts';
import { detachNetworks } from '../sandbox/attach-networks.ts';
import { deleteSandbox, sandboxKey } from '../sandbox/sandbox.ts';
import { unmountVolumes } from '../volume/mount-volumes.ts';
import { cgroupPathOf } from './cgroup-path.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { releaseRoot } from './root-mount.ts';
import { unmountSharedMemory } from './shared-memory.ts';

const cleanUpTimeoutMs = 10_000;

type Step = readonly [what: string, step: () => Promise<void> | void];

export async function takeDown(engine: Engine, container: Container): Promise<void> {
  const { bundle } = containerFolder(engine.config, container.id);
  const run = async (steps: readonly Step[]) => {
    for (const [what, step] of steps) {
      try {
        await step();
      } catch (error) {
        engine.log.error({ err: error, container: container.id }, what);
      }
    }
  };
  const runtime = () => chooseRuntime(engine, container.record.hostConfig.Runtime);
  // The runtime and the plugins have nothing to do with each other.
  await Promise.all([
    run([
      ['removing the control groups', () => removeGroups(cgroupPathOf(engine, container))],
      ['removing the runtime state', () => forgetInRuntime(runtime(), container.id, cleanUpTimeoutMs)],
    ]),
    run([
      ['ending the log session', () => container.logSession?.stop()],
      ['leaving the networks', () => detachNetworks(engine, container)],
      ['removing the sandbox', () => deleteSandbox(sandboxKey(engine.config, container.id))],
      ['unmounting the volumes', () => unmountVolumes(engine, container)],
    ]),
  ]);
  container.logSession = undefined;
  await run([
    ['unmounting shared memory', () => unmountSharedMemory(engine, container)],
    ['unmounting the root', () => releaseRoot(engine, container)],
    ['ending the holder of output', () => endHolder(bundle, 'output.holder')],
    ['ending the holder of input', () => endHolder(bundle, 'stdin.holder')],
    ['removing the bundle', () => rmSync(bundle, { recursive: true, force: true })],
  ]);
}
