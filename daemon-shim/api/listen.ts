/** Puts the Engine API on its hosts: unix sockets that the docker group may use, TCP with or without certificates. */
import { once } from 'node:events';
import { chmodSync, chownSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:https';
import { isIP } from 'node:net';
import { type Listening, listenOnUnixSocket } from '../../plugins/sdk/index.ts';
import type { TlsConfig } from '../config/config.ts';
import { ConfigError } from '../config/option.ts';
import type { Engine } from '../engine.ts';
import { createApi, type ServerFactory } from './server.ts';

/** As listenOnUnixSocket has it: a running request has so long to end when the shim does. */
const closeGraceMs = 5000;

/** Listens on all of `config.hosts` or on none. */
export async function listenOnHosts(engine: Engine): Promise<Listening[]> {
  const open: Listening[] = [];
  try {
    for (const host of engine.config.hosts) open.push(await listenOnHost(engine, host));
  } catch (error) {
    await Promise.allSettled(open.map((listening) => listening.close()));
    throw error;
  }
  return open;
}

async function listenOnHost(engine: Engine, host: string): Promise<Listening> {
  const { config, log } = engine;
  if (host.startsWith('unix://')) {
    const path = host.slice('unix://'.length);
    const listening = await listenOnUnixSocket(createApi(engine), path);
    openToGroup(path, config.group);
    return listening;
  }
  if (host.startsWith('fd://')) {
    throw new ConfigError(
      '-H fd:// is not supported: name the path of the activated socket, -H unix:///run/docker.sock',
    );
  }
  const { address, port } = parseTcp(host, config.tls !== undefined);
  if (config.tls === undefined) {
    log.warn(
      { host },
      'the API is open to everybody who reaches this port: it gives root on this machine; use --tlsverify',
    );
  } else if (!config.tls.verify) {
    log.warn({ host }, 'the API asks clients for no certificate: it gives root on this machine; use --tlsverify');
  }
  const app = createApi(engine, config.tls === undefined ? undefined : tlsFactory(config.tls));
  await app.ready();
  const listening = once(app.server, 'listening');
  app.server.listen({ host: address, port });
  await listening;
  const close = async () => {
    const timer = setTimeout(() => app.server.closeAllConnections(), closeGraceMs);
    await app.close();
    clearTimeout(timer);
  };
  return { address: host, close };
}

/** dockerd's rule: root and the group may read and write. Without a group of this name only root may. */
function openToGroup(path: string, group: string): void {
  const gid = /^[0-9]+$/.test(group) ? Number(group) : findGroup(group || 'docker');
  if (gid === undefined) {
    if (group !== '')
      throw new ConfigError(`group ${group} not found: there is no such group for the unix socket ${path}`);
    return;
  }
  chownSync(path, 0, gid);
  chmodSync(path, 0o660);
}

function findGroup(name: string): number | undefined {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
}

/** Ports are dockerd's: 2375, and 2376 with TLS. */
function parseTcp(host: string, tls: boolean): { address: string; port: number } {
  const [, bracketed, plain = '', port] = /^tcp:\/\/(?:\[(.+)\]|([^:/]*))(?::([0-9]+))?\/?$/.exec(host) ?? [];
  const address = bracketed ?? (plain === '' ? '127.0.0.1' : plain);
  const number = port === undefined ? (tls ? 2376 : 2375) : Number(port);
  if (number > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new ConfigError(`invalid bind address (${host})`);
  }
  return { address, port: number };
}

function tlsFactory(tls: TlsConfig): ServerFactory {
  const read = (what: string, path: string) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new ConfigError(`invalid TLS configuration: could not read ${what}: ${(error as Error).message}`);
    }
  };
  const options = {
    cert: read('the certificate', tls.certFile),
    key: read('the key', tls.keyFile),
    minVersion: 'TLSv1.2' as const,
    ...(tls.verify ? { ca: read('CA certificate', tls.caFile), requestCert: true, rejectUnauthorized: true } : {}),
  };
  return (handler) => createServer(options, handler) as unknown as Server;
}
