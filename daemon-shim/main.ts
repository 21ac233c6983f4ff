/** The shim's process: configuration, engine, API sockets. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { defaultDirectories } from '../plugins/sdk/index.ts';
import { openStore } from '../plugins/store/store.ts';
import { createApi } from './api/server.ts';
import type { ShimConfig } from './config/config.ts';
import { exitFolder } from './container/folder.ts';
import { ContainerRegistry } from './container/registry.ts';
import { restoreContainers } from './container/restore.ts';
import { watchContainerExits } from './container/watch-exits.ts';
import type { Engine } from './engine.ts';
import { EventLog } from './events.ts';
import { ImageStore } from './image/image-store.ts';
import { ensurePredefined } from './network/predefined.ts';
import { NetworkRegistry } from './network/registry.ts';
import { Plugins } from './plugin/plugins.ts';
import { findRuntimes } from './runtime/oci-runtime.ts';
import { VolumeRegistry } from './volume/registry.ts';

const config: ShimConfig = {
  dataRoot: '/tmp/sh/data',
  execRoot: '/tmp/sh/exec',
  hosts: ['unix:///tmp/sh/docker.sock'],
  pluginDir: '/tmp/sh/plugins',
  labels: [],
  defaultRuntime: 'runc',
  runtimes: {},
  init: false,
  liveRestore: true,
  logDriver: 'cleat-json-file',
  logOpts: {},
  defaultNetworkDriver: 'cleat-bridge',
  defaultIpamDriver: 'cleat-ipam',
  defaultVolumeDriver: 'cleat-local',
  shutdownTimeoutSeconds: 15,
  defaultUlimits: {},
  dns: [],
  dnsOptions: [],
  dnsSearch: [],
};
mkdirSync(config.execRoot, { recursive: true });
mkdirSync(exitFolder(config), { recursive: true });
const store = openStore(join(config.dataRoot, 'shim.db'));
const engine: Engine = {
  config,
  log: pino({}, pino.destination(2)),
  store,
  containers: new ContainerRegistry(store),
  images: new ImageStore(store, config.dataRoot),
  events: new EventLog(),
  networks: new NetworkRegistry(store),
  volumes: new VolumeRegistry(store),
  plugins: new Plugins({ ...defaultDirectories, socketDir: config.pluginDir }),
  runtimes: findRuntimes(join(config.execRoot, 'runtimes'), config.runtimes),
};
watchContainerExits(engine);
if (process.argv[2] === 'seed') {
  const { execFileSync } = await import('node:child_process');
  const diff = `sha256:${'1'.repeat(64)}`;
  const d = engine.images.layerFolder(diff);
  mkdirSync(d, { recursive: true });
  execFileSync('sh', [
    '-c',
    `mkdir -p ${d}/bin ${d}/etc ${d}/tmp; cp /bin/busybox ${d}/bin; for a in $(/bin/busybox --list | grep -vx busybox); do ln -sf busybox ${d}/bin/$a; done`,
  ]);
  engine.images.put({
    id: `sha256:${'2'.repeat(64)}`,
    configText: JSON.stringify({ config: { Cmd: ['sh'] } }),
    diffIds: [diff],
    size: 1,
    repoTags: ['busybox:latest'],
    repoDigests: [],
    loaded: new Date().toISOString(),
  });
}
await restoreContainers(engine);
void ensurePredefined(engine);
rmSync('/tmp/sh/docker.sock', { force: true });
await createApi(engine).listen({ path: '/tmp/sh/docker.sock' });
