/** The scripts of lab/: which there are, and one run of one. */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match } from 'uvu/assert';
import { cacheDir } from '../../lab/setup/cache.ts';
import { CommandError } from '../../plugins/linux/command.ts';
import { startEngine } from './engine.ts';
import { createHost, type Host } from './host.ts';

export const labFolder = fileURLToPath(new URL('../../lab/', import.meta.url));

const textOf = (name: string): string => readFileSync(`${labFolder}${name}`, 'utf8');

/** Those without a first line for the shell are parts that the others source. */
const all = globSync('*.sh', { cwd: labFolder })
  .filter((name) => textOf(name).startsWith('#!'))
  .sort();
const hasHosts = (name: string): boolean => textOf(name).includes('CLEAT_LAB_TOPOLOGY=');

/** Those that run on an engine. */
export const labScripts: readonly string[] = all.filter((name) => !hasHosts(name));
/** Those that bring several hosts, with an engine each. */
export const topologyScripts: readonly string[] = all.filter(hasHosts);

const runsInGuest = (name: string): boolean => textOf(name).includes('in-guest.ts');
const success = /all \d+ checks passed; everything is taken down/;

/** Runs one on what it brings itself; throws with its account when one of its checks fails. Its standard error. */
export function passes(script: string, ...flags: readonly string[]): string {
  const done = spawnSync(`${labFolder}${script}`, flags, { encoding: 'utf8', timeout: 300_000 });
  is(done.status, 0, `${done.stdout}${done.stderr}`);
  match(done.stdout, success);
  return done.stderr;
}

/** Runs one on the engine of a host; throws and returns as `passes`. */
export async function passesIn(host: Host, script: string, env: Readonly<Record<string, string>>): Promise<string> {
  const options = { timeoutMs: 180_000, env: { CLEAT_CACHE: `${host.dir}/cache`, ...env } };
  const result = await host.run(`${labFolder}${script}`, [], options).catch((error: unknown) => {
    if (error instanceof CommandError)
      throw new Error(`${error.reason}, exit code ${error.exitCode}\n${error.stdout}${error.stderr}`);
    throw error;
  });
  match(result.stdout, success);
  return result.stderr;
}

export const isAboutStorage = (script: string): boolean => /^(log|volume)-/.test(script);

/** A test for each, one after another on one host with an engine; each leaves the host as it was. */
export async function testOnDocker(scripts: readonly string[]): Promise<void> {
  const host = await createHost({ name: 'lab' });
  test.after(() => host.close());
  const engine = await startEngine({ version: '20.10', host, images: [] });
  const leftBehind = async () => ({
    links: await host.sh('ip -json link | jq -r ".[].ifname"'),
    tables: await host.sh('nft list tables | grep cleat || true'),
    namespaces: await host.sh('ip netns list'),
    mounts: await host.sh('cut -d" " -f5 /proc/self/mountinfo | grep -vE "^/run/(docker/)?netns" | sort'),
    containers: await engine.docker('ps', '-aq'),
    networks: await engine.docker('network', 'ls', '--format', '{{.Name}}'),
    volumes: await engine.docker('volume', 'ls', '-q'),
  });
  const before = await leftBehind();
  // What is built once for this machine serves; what a script starts has its folder here.
  mkdirSync(`${host.dir}/cache`);
  for (const entry of readdirSync(cacheDir()))
    if (entry !== 'quickstart') symlinkSync(join(cacheDir(), entry), join(host.dir, 'cache', entry));
  for (const script of scripts)
    test(script, async () => {
      const account = await passesIn(host, script, { DOCKER_HOST: 'unix:///run/docker.sock' });
      if (!runsInGuest(script)) match(account, /running on Docker 20\.10.*\n.*starting cleat-networkd/);
      equal(await leftBehind(), before);
    });
}
