/**
 * The engine of this machine for the quick start and the lab: cleat-shim, or Docker. What runs is used as it is, what does not
 * run is started, with everything it keeps below the cache folder, and stopped by `stopWhatWeStarted`.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../plugins/linux/command.ts';
import { findBackground, startBackground, stopBackground } from './background.ts';
import { installPackages } from './debian.ts';
import { type Docker, dockerAt, engineVersion } from './docker.ts';
import { ensureImageArchive } from './images.ts';
import { ensureDaemon, isOurs, ownFolder, runDir, stopDaemon } from './own-daemons.ts';
import { enginePackages, shimPackages } from './packages.ts';
import { say } from './step.ts';

export type EngineKind = 'docker' | 'shim';

const dockerd = () => ({ folder: ownFolder(), name: 'dockerd' });
const dockerdSocket = () => `unix://${join(ownFolder(), 'docker.sock')}`;
const shimSocket = `unix://${runDir}/docker.sock`;

/** What makes containers: the docker command, a runtime, and for cleat-shim a monitor. */
export function ensureEnginePackages(kind: EngineKind): void {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  const has = (program: string): boolean => folders.some((path) => existsSync(join(path, program)));
  if (!has('docker') || !(has('runc') || has('crun'))) installPackages(enginePackages);
  if (kind === 'shim' && !has('conmon')) installPackages(shimPackages);
}

/** The Docker engine that runs, ours from an earlier time included; undefined when there is none. */
export async function findDocker(): Promise<Docker | undefined> {
  const own = findBackground(dockerd()) === undefined ? undefined : dockerdSocket();
  for (const host of [process.env['DOCKER_HOST'], own, undefined]) {
    const version = await engineVersion(host).catch(() => undefined);
    if (version === undefined) continue;
    return dockerAt(host, `Docker ${version}${host !== undefined && host === own ? ', started by this script' : ''}`);
  }
  return undefined;
}

/** The engines that may hold something of ours. */
export async function findEngines(): Promise<Docker[]> {
  const docker = await findDocker();
  const shim = await engineVersion(shimSocket).catch(() => undefined);
  return [...(docker ? [docker] : []), ...(shim === undefined ? [] : [dockerAt(shimSocket, `cleat-shim ${shim}`)])];
}

/** The engine that runs, or one that is started now. */
export async function ensureEngine(kind: EngineKind): Promise<Docker> {
  ensureEnginePackages(kind);
  return kind === 'shim' ? ensureShim() : ensureDocker();
}

/** With its three plugin daemons, which it uses for every network, volume and log. */
async function ensureShim(): Promise<Docker> {
  for (const name of ['networkd', 'volumed', 'logd'] as const) await ensureDaemon(name);
  await ensureDaemon('shim', async () => (await engineVersion(shimSocket)) !== undefined);
  return dockerAt(
    shimSocket,
    `cleat-shim ${(await engineVersion(shimSocket)) ?? ''}${isOurs('shim') ? ', started by this script' : ''}`,
  );
}

async function ensureDocker(): Promise<Docker> {
  const found = await findDocker();
  if (found) return found;
  const given = process.env['DOCKER_HOST'];
  if (given) throw new Error(`no engine answers at DOCKER_HOST=${given}; unset it, or start that engine`);
  say('starting a Docker engine of our own, as none is running here');
  const folder = ownFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const config = join(folder, 'daemon.json');
  writeFileSync(config, '{}');
  const files = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--config-file', config];
  const sockets = ['-H', dockerdSocket(), '--pidfile', join(folder, 'dockerd-own.pid')];
  // It serves cleat networks only, so it need not touch the firewall or make its own bridge.
  const bare = ['--bridge=none', '--iptables=false', '--ip-forward=false', '--ip-masq=false'];
  const ready = async () => (await engineVersion(dockerdSocket())) !== undefined;
  await startBackground(dockerd(), {
    file: 'dockerd',
    args: [...files, ...sockets, ...bare],
    ready,
    timeoutMs: 60_000,
  });
  return (await findDocker()) as Docker;
}

/** The name of a small image (busybox with all its applets) on that engine. */
export async function ensureImage(docker: Docker): Promise<string> {
  const name = 'cleat/busybox:lab';
  if ((await docker.try('image', 'inspect', name)).ok) return name;
  say(`importing the image ${name}`);
  await docker.run('import', '--change', 'CMD ["sh"]', ensureImageArchive('busybox'), name);
  return name;
}

/** The engines and the daemons, as far as they are ours, and everything that they kept. */
export async function stopWhatWeStarted(): Promise<void> {
  const running = isOurs('shim') ? [join(runDir, 'shim')] : [];
  for (const name of ['shim', 'logd', 'volumed', 'networkd'] as const) await stopDaemon(name);
  if (await stopBackground(dockerd())) say('stopped the Docker engine that was started for this');
  for (const folder of [...running, ownFolder()]) {
    await unmountBelow(folder);
    rmSync(folder, { recursive: true, force: true });
  }
  try {
    rmdirSync(runDir);
  } catch {
    // Not there, or somebody else's daemon uses it.
  }
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
