/** Asks an engine's API socket about a container. For commands only: a driver's handler never calls the engine. */
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { CommandFailure, exitCodes } from './exit.ts';

const usualSockets = ['/var/run/docker.sock', '/run/cleat/docker.sock', '/run/podman/podman.sock'];

export interface ContainerState {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Running: boolean; readonly Pid: number };
}

/** The engine's socket: the one given, DOCKER_HOST's, or the first usual one that exists. */
export function findEngineSocket(given: string | undefined): string {
  const host = given ?? process.env['DOCKER_HOST'];
  if (host !== undefined && host !== '') {
    if (host.startsWith('unix://')) return host.slice('unix://'.length);
    if (host.startsWith('/')) return host;
    throw new CommandFailure(
      `engine "${host}" is no unix socket of this host; give unix:///path or /path`,
      exitCodes.usage,
    );
  }
  const found = usualSockets.find((path) => existsSync(path));
  if (found === undefined) {
    throw new CommandFailure(
      `no engine socket found (${usualSockets.join(', ')}); name it with --engine /path`,
      exitCodes.unavailable,
    );
  }
  return found;
}

export async function inspectContainer(socketPath: string, name: string): Promise<ContainerState> {
  const { status, body } = await get(socketPath, `/containers/${encodeURIComponent(name)}/json`);
  if (status === 200) return body as ContainerState;
  const message = (body as { message?: string }).message ?? `status ${status}`;
  throw new CommandFailure(message);
}

/** The id of the engine's network of that name; undefined when there is no engine, or no such network. */
export async function findNetworkId(engine: string | undefined, name: string): Promise<string | undefined> {
  try {
    const { status, body } = await get(findEngineSocket(engine), `/networks/${encodeURIComponent(name)}`);
    return status === 200 ? (body as { Id: string }).Id : undefined;
  } catch (error) {
    // Without an engine a network of ours is found by its id.
    if (engine === undefined && error instanceof CommandFailure) return undefined;
    throw error;
  }
}

/** Pauses a running container; returns how to let it go on. */
export async function pauseContainer(socketPath: string, id: string): Promise<() => Promise<void>> {
  const change = async (verb: 'pause' | 'unpause'): Promise<void> => {
    const { status, body } = await call(socketPath, 'POST', `/containers/${id}/${verb}`);
    if (status === 204) return;
    throw new CommandFailure(
      `container ${id.slice(0, 12)}: ${(body as { message?: string }).message ?? `status ${status}`}`,
    );
  };
  await change('pause');
  return () => change('unpause');
}

/** Names of the volumes that any container refers to, running or not. */
export async function volumesOfContainers(socketPath: string): Promise<ReadonlySet<string>> {
  const { status, body } = await get(socketPath, '/containers/json?all=1');
  if (status !== 200)
    throw new CommandFailure(`the engine on ${socketPath} does not list its containers: status ${status}`);
  const containers = body as readonly { readonly Mounts?: readonly { readonly Name?: string }[] }[];
  return new Set(containers.flatMap(({ Mounts = [] }) => Mounts.flatMap(({ Name }) => Name ?? [])));
}

function get(socketPath: string, path: string): Promise<{ status: number; body: unknown }> {
  return call(socketPath, 'GET', path);
}

function call(socketPath: string, method: 'GET' | 'POST', path: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: 10_000, headers: { host: 'docker' } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: text === '' ? {} : JSON.parse(text) });
        } catch {
          reject(new CommandFailure(`the engine on ${socketPath} answered with something that is no JSON`));
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error('no answer in 10 s')));
    call.on('error', (error) =>
      reject(
        new CommandFailure(`the engine on ${socketPath} does not answer: ${error.message}`, exitCodes.unavailable),
      ),
    );
    call.end();
  });
}
