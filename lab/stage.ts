/**
 * Runs a lab script on an engine with the cleat drivers: this machine's, or one in namespaces of its own; or on the hosts of a
 * topology, which it asks for by CLEAT_LAB_TOPOLOGY. See stage.sh.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { startDaemon } from '../test/support/daemon.ts';
import { startEngine } from '../test/support/engine.ts';
import { createHost, type Host } from '../test/support/host.ts';
import { childrenOf } from '../test/support/process.ts';
import { installPackages } from './setup/debian.ts';
import { ensureImageArchive } from './setup/images.ts';
import { ensureDaemon, stopDaemon } from './setup/own-daemons.ts';
import { enginePackages, runtimePackages, shimPackages } from './setup/packages.ts';
import { say } from './setup/step.ts';
import { ensureImage, findDocker } from './setup/this-machine.ts';
import type { Topology } from './topologies/topology.ts';

const [script, ...args] = process.argv.slice(2);
if (script === undefined) throw new Error('name a script of this folder');
if (process.getuid?.() !== 0) {
  process.stderr.write('error: networks need root\n');
  process.exit(1);
}
// The script takes everything down when it is interrupted, and we wait for that.
let interrupt: ((signal: NodeJS.Signals) => void) | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt?.(signal));

installPackages(runtimePackages);
const topologyName = process.env['CLEAT_LAB_TOPOLOGY'];
const own = topologyName !== undefined || args.includes('--own') || args.includes('--shim');
const docker = own ? undefined : await findDocker();
process.exitCode = docker ? await onThisMachine() : topologyName ? await onHosts(topologyName) : await onItsOwn();

async function onThisMachine(): Promise<number> {
  if (!docker) throw new Error('no engine');
  say(`running on ${docker.description}`);
  const started = await ensureDaemon('networkd');
  try {
    const env = { CLEAT_LAB_IMAGE: await ensureImage(docker), ...(docker.host ? { DOCKER_HOST: docker.host } : {}) };
    return await run(['bash', script as string], env);
  } finally {
    if (started) await stopDaemon('networkd');
  }
}

async function onItsOwn(): Promise<number> {
  installPackages([...enginePackages, ...shimPackages]);
  const host = await createHost({ name: 'lab' });
  try {
    await startDaemon('networkd', host, { logLevel: 'info' });
    const env = args.includes('--shim') ? await shimIn(host) : await dockerIn(host);
    const enter = ['nsenter', '-t', String(host.pid), '-n', '-m', '-p', '-u', 'setsid', 'bash', script as string];
    return await run(enter, { CLEAT_LAB_IMAGE: 'busybox', ...env });
  } finally {
    await host.close();
  }
}

/** `$HOST_NAME`: the number of each host's first process. */
async function onHosts(name: string): Promise<number> {
  if (args.includes('--shim')) throw new Error('this script has engines of its own');
  installPackages(enginePackages);
  const { topology } = (await import(`./topologies/${name}.ts`)) as { topology: Topology };
  const { hosts, close } = await topology.build();
  try {
    const env = Object.fromEntries(Object.entries(hosts).map(([host, { pid }]) => [`HOST_${host}`, String(pid)]));
    say(`running on ${topology.about}`);
    return await run(['bash', script as string], { CLEAT_LAB_IMAGE: 'busybox', ...env });
  } finally {
    await close();
  }
}

async function dockerIn(host: Host): Promise<{ DOCKER_HOST: string }> {
  const engine = await startEngine({ version: '20.10', host });
  const version = await engine.docker('version', '--format', '{{.Server.Version}}');
  say(`running on Docker ${version} in namespaces of its own`);
  return { DOCKER_HOST: 'unix:///run/docker.sock' };
}

async function shimIn(host: Host): Promise<Readonly<Record<string, string>>> {
  const env = { DOCKER_HOST: 'unix:///run/cleat/docker.sock', CLEAT_LAB_STATE: join(host.dir, 'state') };
  for (const name of ['volumed', 'logd', 'shim'] as const) await startDaemon(name, host, { logLevel: 'info' });
  await host.run('docker', ['import', '--change', 'CMD ["sh"]', ensureImageArchive('busybox'), 'busybox'], { env });
  say('running on cleat-shim in namespaces of its own');
  return env;
}

/**
 * The script is a process group of its own, so that a signal reaches it and the command that it waits for, and nothing else:
 * nsenter would end at once, and with it the way to the script's exit code.
 */
function run(command: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const [file, ...rest] = command;
  const child = spawn(file as string, rest, {
    stdio: 'inherit',
    detached: true,
    env: { ...process.env, LC_ALL: 'C', CLEAT_LAB_STAGE: '1', ...env },
  });
  interrupt = (signal) => {
    const group = file === 'nsenter' ? childrenOf(child.pid as number)[0] : child.pid;
    if (group === undefined) return;
    try {
      process.kill(-group, signal);
    } catch {
      // It has just ended.
    }
  };
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
