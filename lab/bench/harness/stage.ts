/**
 * What most benches stand on: one host with one engine, a cleat-networkd, and two networks, ours and the engine's own.
 *
 *     engine ─┬─ network "ours"     (-d cleat-bridge)
 *             └─ network "builtin"  (-d bridge)
 */
import { type Daemon, startDaemon } from '../../../test/support/daemon.ts';
import { type Engine, type EngineOptions, startEngine } from '../../../test/support/engine.ts';
import { createHost, type Host } from '../../../test/support/host.ts';

export interface Stage {
  readonly host: Host;
  readonly engine: Engine;
  readonly networkd: Daemon;
  close(): Promise<void>;
}

export const networks = { ours: 'ours', peer: 'builtin' } as const;

async function openStage(options: Partial<Omit<EngineOptions, 'host'>> = {}): Promise<Stage> {
  const host = await createHost({ name: 'bench' });
  try {
    const networkd = await startDaemon('networkd', host, { logLevel: 'info' });
    const engine = await startEngine({ version: '28', ...options, host });
    await engine.docker('network', 'create', '-d', 'cleat-bridge', networks.ours);
    await engine.docker('network', 'create', '-d', 'bridge', networks.peer);
    return { host, engine, networkd, close: () => host.close() };
  } catch (error) {
    await host.close();
    throw error;
  }
}

/** Opens a stage, works on it, closes it. When the work fails and our daemon has died, the error says how. */
export async function onStage<T>(
  options: Partial<Omit<EngineOptions, 'host'>>,
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  const stage = await openStage(options);
  try {
    return await work(stage);
  } catch (error) {
    if (stage.networkd.running()) throw error;
    const log = stage.networkd.log().trim().split('\n').slice(-15).join('\n');
    throw new Error(`cleat-networkd has ended; its log:\n${log}`, { cause: error });
  } finally {
    await stage.close();
  }
}

/** A call of the Engine API that must succeed; returns its decoded reply. */
export async function call(engine: Engine, method: string, path: string, body?: Readonly<Record<string, unknown>>) {
  const reply = await engine.api(method, path, body);
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
  return reply.body as Readonly<Record<string, unknown>>;
}

export interface ContainerSpec {
  readonly command: readonly string[];
  readonly image?: string;
  readonly networks: readonly string[];
  /** `8080/tcp` → host ports. */
  readonly ports?: Readonly<Record<string, readonly number[]>>;
}

/** Creates a container by the API, not started; returns its id. */
export async function createContainer(engine: Engine, name: string, spec: ContainerSpec): Promise<string> {
  const ports = Object.entries(spec.ports ?? {});
  const reply = await call(engine, 'POST', `/containers/create?name=${name}`, {
    Image: spec.image ?? 'busybox',
    Cmd: spec.command,
    ExposedPorts: Object.fromEntries(ports.map(([port]) => [port, {}])),
    HostConfig: {
      NetworkMode: spec.networks[0] ?? 'none',
      PortBindings: Object.fromEntries(
        ports.map(([port, hosts]) => [port, hosts.map((host) => ({ HostPort: `${host}` }))]),
      ),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(spec.networks.map((network) => [network, {}])) },
  });
  return String(reply['Id']);
}

export async function startContainer(engine: Engine, id: string): Promise<void> {
  await call(engine, 'POST', `/containers/${id}/start`);
}

export async function removeContainer(engine: Engine, id: string): Promise<void> {
  await call(engine, 'DELETE', `/containers/${id}?force=true&v=true`);
}
