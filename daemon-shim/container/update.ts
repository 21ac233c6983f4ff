/** `update`: new limits, in effect at once, and another restart policy. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import { asObject } from '../api/fields.ts';
import type { Engine } from '../engine.ts';
import { runtimeCommand } from '../runtime/monitor.ts';
import { type LimitConfig, planLimits } from '../runtime/resources.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { checkKinds, limitKinds } from './decode-config.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder } from './folder.ts';
import type { HostConfig } from './record.ts';
import type { Container } from './registry.ts';
import { checkLimits, checkRestartPolicy } from './validate.ts';

const runtimeTimeoutMs = 10_000;

/** Under the lock. Returns warnings. */
export async function updateContainer(engine: Engine, container: Container, body: unknown): Promise<string[]> {
  const given = checkKinds(asObject(body, 'body'), limitKinds);
  const { hostConfig } = container.record;
  const limits = Object.fromEntries(
    Object.keys(limitKinds)
      .filter((name) => name !== 'RestartPolicy' && isGiven(given[name]))
      .map((name) => [name, given[name]]),
  );
  const policy = given['RestartPolicy'] as HostConfig['RestartPolicy'] | undefined;
  const merged: HostConfig = {
    ...hostConfig,
    ...limits,
    ...(policy?.Name ? { RestartPolicy: { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 } } : {}),
  };
  checkConflicts(hostConfig, merged, limits);
  const warnings = checkLimits(merged);
  checkRestartPolicy(merged);
  if (policy?.Name && merged.AutoRemove && policy.Name !== 'no')
    throw badRequest('Restart policy cannot be updated because AutoRemove is enabled for the container');
  if (container.state.status === 'removing' || container.state.status === 'dead')
    throw conflict(`Cannot update container ${container.id}: container is marked for removal and cannot be "update".`);
  if (container.isRunning && Object.keys(limits).length > 0) await applyLimits(engine, container, merged);
  container.update({ hostConfig: merged });
  emitContainerEvent(engine, container, 'update');
  return warnings;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== 0 && value !== '';
}

function checkConflicts(old: HostConfig, merged: HostConfig, changed: object): void {
  if ('NanoCpus' in changed && (old.CpuPeriod > 0 || old.CpuQuota > 0))
    throw badRequest('Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set');
  if (('CpuQuota' in changed || 'CpuPeriod' in changed) && old.NanoCpus > 0)
    throw badRequest('Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set');
  if (
    'Memory' in changed &&
    !('MemorySwap' in changed) &&
    old.MemorySwap !== -1 &&
    merged.Memory > old.MemorySwap &&
    old.MemorySwap > 0
  )
    throw badRequest(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    );
}

async function applyLimits(engine: Engine, container: Container, config: LimitConfig & HostConfig): Promise<void> {
  const file = join(containerFolder(engine.config, container.id).bundle, 'resources.json');
  writeFileSync(file, JSON.stringify(planLimits(config)), { mode: 0o600 });
  const runtime = chooseRuntime(engine, config.Runtime);
  await runtimeCommand(runtime, ['update', '--resources', file, container.id], runtimeTimeoutMs).catch(
    (error: unknown) => {
      throw new ApiError(500, `Cannot update container ${container.id}: ${(error as Error).message}`, { cause: error });
    },
  );
}
