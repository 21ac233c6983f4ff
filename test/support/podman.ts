/** Podman of the newer root, beside an engine that runs there; its containers, images and volumes are in the host's folder. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureImageArchive } from '../../lab/setup/images.ts';
import { runCommand } from '../../plugins/linux/command.ts';
import type { Engine } from './engine.ts';
import type { Host } from './host.ts';
import { type HostProcess, startProcess } from './process.ts';

export interface Podman {
  /** The podman command; the trimmed standard output. Throws CommandError. */
  run(...args: readonly string[]): Promise<string>;
  /** A podman command that goes on until it is stopped: `system service`. */
  start(...args: readonly string[]): Promise<HostProcess>;
}

/** `volumePlugins` by name, each with its socket. The image busybox is there. */
export async function createPodman(
  host: Host,
  engine: Engine,
  volumePlugins: Readonly<Record<string, string>> = {},
): Promise<Podman> {
  const plugins = Object.entries(volumePlugins).map(([name, socket]) => `${name} = "${socket}"`);
  writeFileSync(
    join(host.dir, 'containers.conf'),
    `[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[engine.volume_plugins]\n${plugins.join('\n')}\n`,
  );
  const folders = ['--root', join(host.dir, 'podman'), '--runroot', '/run/podman-root', '--storage-driver', 'vfs'];
  const env = { CONTAINERS_CONF: join(host.dir, 'containers.conf'), PODMAN_IGNORE_CGROUPSV1_WARNING: '1' };
  const enter = async (): Promise<string[]> => ['-t', String(await engine.pid()), '-n', '-m', '-p', '-u'];
  const command = (args: readonly string[]): string[] => [...folders, '--runtime', 'runc', ...args];
  const podman: Podman = {
    async run(...args) {
      const { stdout } = await runCommand('nsenter', [...(await enter()), 'podman', ...command(args)], {
        timeoutMs: 60_000,
        env,
      });
      return stdout.trim();
    },
    start: async (...args) => startProcess(await enter(), 'podman', command(args), env),
  };
  copyFileSync(ensureImageArchive('busybox'), join(host.dir, 'busybox.tar'));
  await podman.run('import', join(host.dir, 'busybox.tar'), 'busybox');
  return podman;
}
