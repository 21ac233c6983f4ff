/**
 * The main job, on this machine's own network and engine. `lab/quickstart` has installed Node and the npm packages.
 *
 *     this machine ── 127.0.0.1:PORT ──┐
 *                                      ▼
 *     cleat-client ── bridge cl-… ── cleat-web:80
 */
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { formatTable } from '../plugins/cli/table.ts';
import { CommandError } from '../plugins/linux/command.ts';
import { installPackages } from './setup/debian.ts';
import type { Docker } from './setup/docker.ts';
import { ensureDaemon } from './setup/own-daemons.ts';
import { runtimePackages } from './setup/packages.ts';
import { say } from './setup/step.ts';
import {
  type EngineKind,
  ensureEngine,
  ensureEnginePackages,
  ensureImage,
  findEngines,
  stopWhatWeStarted,
} from './setup/this-machine.ts';

const network = 'cleat-quickstart';
const web = 'cleat-web';
const client = 'cleat-client';
const page = 'This page came over a cleat network.';

interface Attached {
  readonly name: string;
  readonly address: string;
  readonly mac: string;
  readonly ports: string;
}

interface Result {
  readonly engine: string;
  readonly network: {
    readonly name: string;
    readonly driver: string;
    readonly subnet: string;
    readonly gateway: string;
  };
  readonly containers: readonly Attached[];
  readonly published: { readonly hostPort: number; readonly containerPort: number };
}

async function up(kind: EngineKind): Promise<Result> {
  if (!(await ensureDaemon('networkd'))) say('cleat-networkd is running already');
  const docker = await ensureEngine(kind);
  say(`using ${docker.description}`);
  const image = await ensureImage(docker);
  await removeOurs(docker);

  say(`docker network create -d cleat-bridge ${network}`);
  await docker.run('network', 'create', '-d', 'cleat-bridge', network);
  const hostPort = await freePort(8080);
  const serve = `echo "${page}" >/www/index.html; exec httpd -f -h /www`;
  say(`docker run -d --network ${network} --name ${web} -p ${hostPort}:80 ${image} httpd`);
  await docker.run('run', '-d', '--network', network, '--name', web, '-p', `${hostPort}:80`, image, 'sh', '-c', serve);
  say(`docker run -d --network ${network} --name ${client} ${image} sleep`);
  await docker.run('run', '-d', '--network', network, '--name', client, image, 'sleep', '2147483647');

  const ping = await docker.run('exec', client, 'ping', '-c', '3', '-i', '0.2', '-W', '2', web);
  say(`${client} pings ${web} by name: ${ping.split('\n').find((line) => line.includes('packets')) ?? ''}`);
  const fetched = await soon(`${client} fetches the page`, async () =>
    docker.run('exec', client, 'wget', '-q', '-O-', `http://${web}/`),
  );
  if (!fetched.includes(page)) throw new Error(`${web} answered something else: ${fetched}`);
  say(`${client} fetches http://${web}/: "${fetched}"`);
  for (const address of ['127.0.0.1', ...hostAddress()]) {
    const url = `http://${address}:${hostPort}/`;
    const text = await soon(url, async () => (await fetch(url, { signal: AbortSignal.timeout(3000) })).text());
    if (!text.includes(page)) throw new Error(`${url} answered something else: ${text}`);
    say(`this machine fetches ${url}: "${text.trim()}"`);
  }
  return describe(docker, hostPort);
}

async function down(): Promise<void> {
  for (const docker of await findEngines()) {
    await removeOurs(docker);
    await docker.try('image', 'rm', '-f', 'cleat/busybox:lab');
    say(`removed the containers and the network from ${docker.description}`);
  }
  await stopWhatWeStarted();
  say('all is as it was before, apart from installed packages and the cache folder');
}

/** Ours by name; also from a run that was interrupted. */
async function removeOurs(docker: Docker): Promise<void> {
  for (const name of [web, client]) {
    const gone = await docker.try('rm', '-f', name);
    if (!gone.ok && !/no such container/i.test(gone.stderr)) throw new Error(gone.stderr.trim());
  }
  const gone = await docker.try('network', 'rm', network);
  if (!gone.ok && !/not found|no such network/i.test(gone.stderr)) throw new Error(gone.stderr.trim());
}

async function describe(docker: Docker, hostPort: number): Promise<Result> {
  const [shown] = JSON.parse(await docker.run('network', 'inspect', network)) as {
    IPAM: { Config: { Subnet: string; Gateway: string }[] };
    Containers: Record<string, { Name: string; IPv4Address: string; MacAddress: string }>;
  }[];
  const containers = Object.values(shown?.Containers ?? {}).map((container) => ({
    name: container.Name,
    address: container.IPv4Address,
    mac: container.MacAddress,
    ports: container.Name === web ? `${hostPort} -> 80/tcp` : '',
  }));
  const config = shown?.IPAM.Config[0];
  return {
    engine: docker.description,
    network: { name: network, driver: 'cleat-bridge', subnet: config?.Subnet ?? '', gateway: config?.Gateway ?? '' },
    containers: containers.sort((a, b) => a.name.localeCompare(b.name)),
    published: { hostPort, containerPort: 80 },
  };
}

function show(result: Result): void {
  const { network: net, containers } = result;
  const tables = [
    formatTable(['NETWORK', 'DRIVER', 'SUBNET', 'GATEWAY'], [[net.name, net.driver, net.subnet, net.gateway]]),
    formatTable(
      ['CONTAINER', 'ADDRESS', 'MAC', 'PORTS'],
      containers.map((container) => [container.name, container.address, container.mac, container.ports]),
    ),
  ];
  process.stdout.write(`\n${tables.join('\n\n')}\n\n`);
  process.stdout.write(
    `Look around with bin/cleat status and bin/cleat ports; take it down with lab/quickstart --down\n`,
  );
}

/** The first free TCP port from here on, for IPv4 and IPv6. */
async function freePort(first: number): Promise<number> {
  for (let port = first; port < first + 100; port += 1) {
    if (await isFree(port)) return port;
  }
  throw new Error(`no free TCP port between ${first} and ${first + 99} on this machine`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

/** One address of this machine that is not loopback, if it has one. */
function hostAddress(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all
    .filter((address) => address.family === 'IPv4' && !address.internal)
    .map((address) => address.address)
    .slice(0, 1);
}

/** A server that has just started may need a moment. */
async function soon<T>(what: string, work: () => Promise<T>): Promise<T> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > end) throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
      await delay(100);
    }
  }
}

async function main(flags: ReadonlySet<string>): Promise<void> {
  const begin = performance.now();
  if (flags.has('--down')) return down();
  const kind = flags.has('--docker') ? 'docker' : 'shim';
  installPackages(runtimePackages);
  if (flags.has('--setup-only')) {
    ensureEnginePackages(kind);
    say('everything is installed; lab/quickstart runs the main job');
    return;
  }
  const result = await up(kind);
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else show(result);
  say(`done in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
}

const whatStays = 'What was made so far stays for a look; lab/quickstart --down removes it.';
// The daemons are in sessions of their own and go on; a second run takes up what there is.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => {
    process.stderr.write(`interrupted\n${whatStays}\n`);
    process.exit(code);
  });

try {
  await main(new Set(process.argv.slice(2)));
} catch (error) {
  const text = error instanceof CommandError ? error.stderr.trim() || error.message : (error as Error).message;
  process.stderr.write(`error: ${text}\n${whatStays}\n`);
  process.exitCode = 1;
}
