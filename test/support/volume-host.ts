/** A host with cleat-volumed in it, without an engine: the test is the engine. The daemon can be made to crash at a step. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './deadline.ts';
import { createHost, type Host } from './host.ts';
import type { HostProcess } from './process.ts';
import { type VolumeClient, volumeClient } from './volume-client.ts';

export interface VolumeHost {
  readonly host: Host;
  readonly stateDir: string;
  readonly local: VolumeClient;
  readonly tmpfs: VolumeClient;
  readonly nfs: VolumeClient;
  /** Starts the daemon again; `crashAt` names a step of it, `bootId` another boot. */
  start(options?: { readonly crashAt?: string; readonly bootId?: string }): Promise<void>;
  kill(): Promise<void>;
  running(): boolean;
  /** Resolves when it has crashed by itself. */
  crashed(): Promise<void>;
  log(): string;
  /** Lines of the host's mount table below the state folder. */
  mounts(): Promise<readonly string[]>;
  /** What lies in the folders of volumes and of the trash. */
  leftovers(): Promise<string>;
  close(): Promise<void>;
}

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export async function createVolumeHost(config: Readonly<Record<string, unknown>> = {}): Promise<VolumeHost> {
  const host = await createHost({ name: 'volume-host' });
  const stateDir = join(host.dir, 'state');
  mkdirSync(stateDir);
  const configFile = join(host.dir, 'volumed.json');
  writeFileSync(configFile, JSON.stringify(config));
  const folders = ['--run-dir', '/run/cleat', '--state-dir', stateDir, '--plugin-dir', '/run/docker/plugins'];
  let process: HostProcess | undefined;
  let earlierLog = '';
  const socket = (driver: string): string => host.path(`/run/docker/plugins/${driver}.sock`);
  const volumes: VolumeHost = {
    host,
    stateDir,
    local: volumeClient(socket('cleat-local')),
    tmpfs: volumeClient(socket('cleat-tmpfs')),
    nfs: volumeClient(socket('cleat-nfs')),
    async start({ crashAt, bootId } = {}) {
      earlierLog += process?.output() ?? '';
      const env = {
        ...(crashAt === undefined ? {} : { CLEAT_CRASH_AT: crashAt }),
        ...(bootId === undefined ? {} : { CLEAT_BOOT_ID: bootId }),
      };
      const args = [
        '--disable-warning=ExperimentalWarning',
        root('test/support/volume-daemon.ts'),
        ...folders,
        '--config',
        configFile,
      ];
      const started = host.start(root('bin/node'), [...args, '--log-level', 'debug'], { env });
      process = started;
      await eventually(
        'the daemon is ready or has crashed',
        () => !started.running() || started.output().includes('"msg":"ready"'),
        { everyMs: 5 },
      );
      if (!started.running() && crashAt === undefined)
        throw new Error(`cleat-volumed ended at once:\n${started.output()}`);
    },
    kill: async () => void (await process?.kill()),
    running: () => process?.running() === true,
    crashed: async () =>
      void (await eventually('the daemon crashes', () => process?.running() === false, { everyMs: 5 })),
    log: () => earlierLog + (process?.output() ?? ''),
    async mounts() {
      const lines = await host.sh(`grep ' ${stateDir}/' /proc/self/mountinfo || true`);
      return lines === '' ? [] : lines.split('\n');
    },
    leftovers: () =>
      host.sh(`find ${stateDir}/trash ${stateDir}/volumes ${stateDir}/mounts -mindepth 2 2>/dev/null || true`),
    close: () => host.close(),
  };
  await volumes.start();
  return volumes;
}
