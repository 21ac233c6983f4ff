/**
 * Puts a server where engines look for it: a unix socket in the plugin directory, or a TCP address with a spec file beside
 * it. Under systemd socket activation the socket is systemd's and stays when the daemon ends.
 *
 *     PLUGIN_DIR/NAME.sock    0600; made under another name and renamed, so it is never wider and never half ready
 *     SPEC_DIR/NAME.spec      the address of a TCP plugin
 *     SPEC_DIR/NAME.json      the address and certificates of a TLS plugin
 */
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, type Stats, writeFileSync } from 'node:fs';
import { type AddressInfo, createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { takeActivatedSocket } from './activated-sockets.ts';
import { PluginError } from './errors.ts';
import type { Plugin } from './plugin.ts';
import { type ServeOptions, servePlugin } from './serve.ts';
import { specFileText } from './spec-file.ts';

export interface Listening {
  /** Path of the socket, or `host:port`. */
  readonly address: string;
  /** Finishes running calls, removes the socket or the spec file. Done twice is done once. */
  close(): Promise<void>;
}

export interface TcpPlace {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where the engine looks for spec files, such as /etc/docker/plugins. */
  readonly specDir: string;
  /** What the engine needs to check this server and to show itself; written into the spec file when TLS is on. */
  readonly clientTls?: { readonly caFile: string; readonly certFile?: string; readonly keyFile?: string };
}

/** Exactly one place to listen: the plugin directory, a path of one's own, or TCP. */
export type Place =
  | { readonly pluginDir: string; readonly socketPath?: never; readonly tcp?: never }
  | { readonly socketPath: string; readonly pluginDir?: never; readonly tcp?: never }
  | { readonly tcp: TcpPlace; readonly pluginDir?: never; readonly socketPath?: never };

/** sockaddr_un.sun_path, <linux/un.h>, less the terminating NUL. */
const LONGEST_PATH = 107;

let temporaries = 0;

/** A running call has this long to end when the server closes; its connection is cut then. */
const CLOSE_GRACE_MS = 5000;

/** Serves the plugin. Listens only now, so load all state before: an engine forgets volumes that are not found. */
export async function listenPlugin(plugin: Plugin, options: ServeOptions & Place): Promise<Listening> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(plugin.name)) {
    throw new PluginError('PROTO_OPTION', `"${plugin.name}" is no plugin name: letters, digits, "_", "." and "-"`);
  }
  const app = servePlugin(plugin, options);
  try {
    if (options.tcp !== undefined) return await listenOnTcp(app, plugin.name, options.tcp, options.tls !== undefined);
    const path = options.socketPath ?? join(options.pluginDir, `${plugin.name}.sock`);
    return await listenOnUnixSocket(app, path);
  } catch (error) {
    await app.close();
    throw error;
  }
}

/** Throws PROTO_ADDRESS_IN_USE when a living process answers there; takes the place of a dead one's socket. */
export async function listenOnUnixSocket(app: FastifyInstance, path: string): Promise<Listening> {
  await app.ready();
  const fd = takeActivatedSocket(path);
  if (fd !== undefined) {
    await listen(app, { fd });
    return closeable(app, path, () => undefined);
  }
  await refuseTakenPath(path);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // Engines list every *.sock in the directory, so the name before the rename must not end that way; and it must be short.
  temporaries += 1;
  const temporary = join(dirname(path), `.${process.pid.toString(36)}${temporaries.toString(36)}`);
  rmSync(temporary, { force: true });
  const umask = process.umask(0o177);
  let listening: Promise<void>;
  try {
    // The socket file is made inside this call, not later: the narrow mask covers nothing else.
    listening = listen(app, { path: temporary });
  } finally {
    process.umask(umask);
  }
  await listening;
  chmodSync(temporary, 0o600);
  const made = lstatSync(temporary);
  renameSync(temporary, path);
  return closeable(app, path, () => {
    const now = findFile(path);
    if (now?.ino === made.ino && now.dev === made.dev) rmSync(path, { force: true });
  });
}

/** Whether some process accepts connections on the path. */
export async function answersOnUnixSocket(path: string): Promise<boolean> {
  const socket = createConnection({ path });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function refuseTakenPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new PluginError('PROTO_OPTION', `the socket path ${path} is longer than ${LONGEST_PATH} bytes`, {
      hint: 'use a directory with a shorter name',
    });
  }
  const found = findFile(path);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new PluginError('PROTO_ADDRESS_IN_USE', `${path} exists and is no socket`, { hint: 'move it away' });
  }
  if (await answersOnUnixSocket(path)) {
    throw new PluginError('PROTO_ADDRESS_IN_USE', `another process answers on ${path}`, {
      hint: 'stop it, or use another directory',
    });
  }
}

async function listenOnTcp(app: FastifyInstance, name: string, place: TcpPlace, tls: boolean): Promise<Listening> {
  await app.ready();
  await listen(app, { host: place.host, port: place.port });
  const { port } = app.server.address() as AddressInfo;
  const address = place.host.includes(':') ? `[${place.host}]:${port}` : `${place.host}:${port}`;
  const file = join(place.specDir, `${name}.${tls ? 'json' : 'spec'}`);
  mkdirSync(place.specDir, { recursive: true, mode: 0o755 });
  writeFileSync(`${file}.${process.pid}`, specFileText(name, address, tls, place.clientTls), { mode: 0o644 });
  renameSync(`${file}.${process.pid}`, file);
  return closeable(app, address, () => rmSync(file, { force: true }));
}

async function listen(app: FastifyInstance, where: { path: string } | { fd: number } | { host: string; port: number }) {
  const listening = once(app.server, 'listening');
  app.server.listen(where);
  await listening;
}

function closeable(app: FastifyInstance, address: string, remove: () => void): Listening {
  let closed: Promise<void> | undefined;
  const close = async () => {
    // The file goes first: who comes now must find nothing rather than a socket about to close.
    remove();
    const timer = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS);
    await app.close();
    clearTimeout(timer);
  };
  return {
    address,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

function findFile(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
