/**
 * The Docker engine of this machine and a cleat-networkd beside it, for the quick start and the lab: what runs is used as it
 * is, what does not run is started, with everything it keeps below the cache folder, and stopped by `stopWhatWeStarted`.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callControl, runningDaemons } from '../../plugins/cli/control.ts';
import { CommandError, type CommandResult, runCommand } from '../../plugins/linux/command.ts';
import { findBackground, startBackground, stopBackground } from './background.ts';
import { cacheDir } from './cache.ts';
import { installPackages } from './debian.ts';
import { ensureImageArchive } from './images.ts';
import { enginePackages } from './packages.ts';
import { say } from './step.ts';

const folder = (): string => join(cacheDir(), 'quickstart');
const engineProcess = () => ({ folder: folder(), name: 'dockerd' });
const daemonProcess = () => ({ folder: folder(), name: 'cleat-networkd' });
export const runDir = '/run/cleat';
const pluginSocket = '/run/docker/plugins/cleat-bridge.sock';
const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));

export interface Docker {
  /** Version, and whether it is ours. */
  readonly description: string;
  /** The value of DOCKER_HOST that reaches it; undefined for the default. */
  readonly host: string | undefined;
  run(...args: readonly string[]): Promise<string>;
  /** The result also of a command that fails. */
  try(...args: readonly string[]): Promise<CommandResult & { readonly ok: boolean }>;
}

function dockerAt(host: string | undefined, description: string): Docker {
  const env = host === undefined ? {} : { DOCKER_HOST: host };
  const run = async (...args: readonly string[]): Promise<string> =>
    (await runCommand('docker', args, { timeoutMs: 120_000, env })).stdout.trim();
  return {
    description,
    host,
    run,
    async try(...args) {
      try {
        return { ok: true, ...(await runCommand('docker', args, { timeoutMs: 120_000, env })) };
      } catch (error) {
        if (error instanceof CommandError) return { ok: false, stdout: error.stdout, stderr: error.stderr };
        throw error;
      }
    },
  };
}

/** The engine that runs, ours from an earlier time included; undefined when there is none. */
export async function findEngine(): Promise<Docker | undefined> {
  const own = findBackground(engineProcess()) === undefined ? undefined : ownSocket();
  for (const host of [process.env['DOCKER_HOST'], own, undefined]) {
    const version = await dockerAt(host, '')
      .try('version', '--format', '{{.Server.Version}}')
      .catch(() => undefined);
    if (version?.ok)
      return dockerAt(host, `Docker ${version.stdout.trim()}${host === own && own ? ', started by this script' : ''}`);
  }
  return undefined;
}

/** The engine that runs, or one that is started now. */
export async function ensureEngine(): Promise<Docker> {
  const found = await findEngine();
  if (found) return found;
  if (process.env['DOCKER_HOST'])
    throw new Error(`no engine answers at DOCKER_HOST=${process.env['DOCKER_HOST']}; unset it, or start that engine`);
  const folders = (process.env['PATH'] ?? '').split(':');
  if (!folders.some((path) => existsSync(join(path, 'dockerd')))) installPackages(enginePackages);
  say('starting a Docker engine of our own, as none is running here');
  mkdirSync(folder(), { recursive: true });
  const files = ['--data-root', join(folder(), 'data'), '--exec-root', join(folder(), 'exec')];
  const sockets = [
    '-H',
    ownSocket(),
    '--pidfile',
    join(folder(), 'dockerd-own.pid'),
    '--config-file',
    join(folder(), 'daemon.json'),
  ];
  // It serves cleat networks only, so it need not touch the firewall or make its own bridge.
  const bare = ['--bridge=none', '--iptables=false', '--ip-forward=false', '--ip-masq=false'];
  await runCommand('sh', ['-c', `echo '{}' >"$1"`, 'sh', join(folder(), 'daemon.json')], { timeoutMs: 5000 });
  const answers = async () => (await dockerAt(ownSocket(), '').try('version')).ok;
  await startBackground(engineProcess(), {
    file: 'dockerd',
    args: [...files, ...sockets, ...bare],
    ready: answers,
    timeoutMs: 60_000,
  });
  return (await findEngine()) as Docker;
}

/** True when it was started now; false when one is running already. */
export async function ensureNetworkDaemon(): Promise<boolean> {
  if (await daemonAnswers()) return false;
  say('starting cleat-networkd');
  await startBackground(daemonProcess(), {
    file: bin('cleat-networkd'),
    args: ['--run-dir', runDir, '--state-dir', join(folder(), 'state')],
    ready: async () => existsSync(pluginSocket) && (await daemonAnswers()),
  });
  return true;
}

async function daemonAnswers(): Promise<boolean> {
  return (await runningDaemons(runDir)).includes('networkd');
}

/** The name of a small image (busybox with all its applets) on that engine. */
export async function ensureImage(docker: Docker): Promise<string> {
  const name = 'cleat/busybox:lab';
  if ((await docker.try('image', 'inspect', name)).ok) return name;
  say(`importing the image ${name}`);
  await docker.run('import', '--change', 'CMD ["sh"]', ensureImageArchive('busybox'), name);
  return name;
}

/** Stops the daemon if it is ours: first its links and rules, as nobody needs them any more, then the process. */
export async function stopNetworkDaemon(): Promise<void> {
  if (findBackground(daemonProcess()) === undefined) return;
  try {
    await callControl(runDir, 'networkd', 'POST', '/purge');
  } catch (error) {
    say(`cleat-networkd could not remove everything: ${(error as Error).message}`);
  }
  await stopBackground(daemonProcess());
  say('stopped cleat-networkd');
}

/** The daemon and the engine, as far as they are ours, and everything that they kept. */
export async function stopWhatWeStarted(): Promise<void> {
  await stopNetworkDaemon();
  if (await stopBackground(engineProcess())) say('stopped the Docker engine that was started for this');
  await unmountBelow(folder());
  rmSync(folder(), { recursive: true, force: true });
}

/** An engine leaves mounts: its data folder on itself, sandboxes of containers that it did not see end. */
async function unmountBelow(path: string): Promise<void> {
  // proc_pid_mountinfo(5): the fifth field, with blanks as \040, which our folder does not have.
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((point) => point.startsWith(`${path}/`));
  for (const point of points.reverse()) await runCommand('umount', ['--lazy', point], { timeoutMs: 10_000 });
}

function ownSocket(): string {
  return `unix://${join(folder(), 'docker.sock')}`;
}
