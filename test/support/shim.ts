/** The shim beside a real engine in one host, both driven by the same docker command. */
import * as assert from 'node:assert/strict';
import { ensureImageArchive } from '../../lab/setup/images.ts';
import { CommandError } from '../../plugins/linux/command.ts';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import type { Engine } from './engine.ts';
import { callApi } from './engine-api.ts';
import type { Host, RunOptions } from './host.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Shim {
  readonly daemon: Daemon;
  /** The engine's own docker command, against the shim. Never throws for an exit code. */
  docker(...args: readonly string[]): Promise<CliResult>;
  dockerWith(options: RunOptions, ...args: readonly string[]): Promise<CliResult>;
}

const socket = 'unix:///run/cleat/docker.sock';

/** In the engine's host: the same files, the same version of the docker command. */
export async function startShim(engine: Engine, options: DaemonOptions = {}): Promise<Shim> {
  const daemon = await startDaemon('shim', engine.host, options);
  const dockerWith: Shim['dockerWith'] = (runOptions, ...args) =>
    runCli(engine, { ...runOptions, env: { ...runOptions.env, DOCKER_HOST: socket } }, args);
  return { daemon, dockerWith, docker: (...args) => dockerWith({}, ...args) };
}

/** The image `busybox` for the shim of a host. */
export async function importBusybox(host: Host): Promise<void> {
  const path = '/images/create?fromSrc=-&repo=busybox&tag=latest';
  const file = ensureImageArchive('busybox');
  const { status, body } = await callApi(host.path('/run/cleat/docker.sock'), 'POST', path, { file });
  assert.equal(status, 200, JSON.stringify(body));
}

/** The docker command against the engine itself, with its exit code. */
export function runOnEngine(engine: Engine, ...args: readonly string[]): Promise<CliResult> {
  return runCli(engine, {}, args);
}

async function runCli(engine: Engine, options: RunOptions, args: readonly string[]): Promise<CliResult> {
  try {
    const { stdout, stderr } = await engine.dockerWith(options, ...args);
    return { code: 0, stdout, stderr };
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === null) throw error;
    return { code: error.exitCode, stdout: error.stdout, stderr: error.stderr };
  }
}
