/** A volume driver in 40 lines: every volume is a directory. `docker volume create -d example-volume -o mode=0700 v1` */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PluginError, parseOptions, runPlugin, text, type VolumeDriver } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', root = '/var/lib/example-volume'] = process.argv.slice(2);
const schema = { mode: text('mode', { pattern: /^0?[0-7]{3}$/, expected: 'a mode such as 0755', otherwise: '0755' }) };

// The engine passes every name on, "../../etc" too: never make a path of one before it is checked.
const pathOf = (name: string) => {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/.test(name)) return join(root, name);
  throw new PluginError('PROTO_OPTION', `"${name}" is no volume name`, { hint: 'use letters, digits and "_.-"' });
};
const find = (name: string) => {
  const path = pathOf(name);
  return existsSync(path) ? { name, mountpoint: path, createdAt: statSync(path).birthtime } : undefined;
};

const volume: VolumeDriver = {
  async create({ name, options }) {
    const { mode } = parseOptions(schema, options, { driver: 'example-volume' });
    mkdirSync(pathOf(name), { recursive: true });
    chmodSync(pathOf(name), Number.parseInt(mode, 8));
  },
  get: async ({ name }) => find(name),
  list: async () => readdirSync(root).flatMap((name) => find(name) ?? []),
  async mount({ name }) {
    const found = find(name);
    if (found === undefined) throw new PluginError('VOL_NOT_FOUND', `no volume is named "${name}"`);
    return found.mountpoint; // A directory needs no unmount either, so mounts need not be counted.
  },
  remove: async ({ name }) => rmSync(pathOf(name), { recursive: true, force: true }),
};

mkdirSync(root, { recursive: true });
await runPlugin({ name: 'example-volume', volume }, { pluginDir });
