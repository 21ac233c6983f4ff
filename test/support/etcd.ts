/** Real etcd members: Debian's 3.4 of this machine, or 3.5 of the newer root; on loopback, or one in each of some hosts. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ensureSidRoot } from '../../lab/setup/sid-root.ts';
import { runCommand } from '../../plugins/linux/command.ts';
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { HostProcess } from './process.ts';
import { makeRunFolder } from './run-folder.ts';

export type EtcdVersion = '3.4' | '3.5';

export interface EtcdMember {
  readonly host: Host | undefined;
  /** URL for clients. */
  readonly endpoint: string;
  running(): boolean;
  /** SIGKILL. */
  kill(): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  start(): Promise<void>;
  output(): string;
}

export interface Etcd {
  readonly version: EtcdVersion;
  readonly members: readonly EtcdMember[];
  readonly endpoints: readonly string[];
  /** etcdctl against all members; its trimmed output. */
  ctl(...args: readonly string[]): Promise<string>;
  /** Saves a snapshot to a file, as the first member that runs has it. */
  save(snapshot: string): Promise<void>;
  /** All members are stopped, begin anew with the snapshot (a file), and run again. */
  restore(snapshot: string): Promise<void>;
  /** A folder that goes with it. */
  readonly dir: string;
  close(): Promise<void>;
}

export interface EtcdTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface EtcdOptions {
  readonly version?: EtcdVersion;
  /** One member in each, with this address; default: one member on loopback. */
  readonly hosts?: readonly { readonly host: Host; readonly address: string }[];
  /** Clients need a certificate of the CA. */
  readonly tls?: EtcdTls;
  /** For `ctl`, once there are users. */
  readonly ctlArgs?: readonly string[];
  /** Data in /dev/shm, so that no disk is waited for. */
  readonly inMemory?: boolean;
}

interface Running {
  running(): boolean;
  signal(name: NodeJS.Signals): Promise<void>;
  kill(): Promise<void>;
  output(): string;
}

let clusters = 0;

/** Resolves when every member answers. */
export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  const { version = '3.4', tls } = options;
  const name = `etcd-${++clusters}`;
  const dir = options.inMemory ? mkdtempSync(`/dev/shm/cleat-${name}-`) : join(makeRunFolder(), name);
  mkdirSync(dir, { recursive: true });
  const places = options.hosts ?? [{ host: undefined, address: '127.0.0.1' }];
  const scheme = tls ? 'https' : 'http';
  const seats = await Promise.all(
    places.map(async ({ host, address }, index) => {
      const [client, peer] = host ? [2379, 2380] : [await freePort(), await freePort()];
      return { host, name: `m${index}`, client: `${scheme}://${address}:${client}`, peer: `http://${address}:${peer}` };
    }),
  );
  const cluster = seats.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const endpoints = seats.map(({ client }) => client);
  const tlsFlags = tls
    ? ['--client-cert-auth', `--trusted-ca-file=${tls.ca}`, `--cert-file=${tls.cert}`, `--key-file=${tls.key}`]
    : [];
  const ctlTls = tls ? [`--cacert=${tls.ca}`, `--cert=${tls.cert}`, `--key=${tls.key}`] : [];
  const members = seats.map(({ host, name, client, peer }): EtcdMember & { readonly dataDir: string } => {
    const dataDir = join(dir, name);
    let process: Running | undefined;
    return {
      host,
      endpoint: client,
      dataDir,
      running: () => process?.running() ?? false,
      output: () => process?.output() ?? '',
      kill: async () => await process?.kill(),
      signal: async (signal) => await process?.signal(signal),
      start: async () => {
        mkdirSync(dataDir, { recursive: true });
        chmodSync(dataDir, 0o700);
        const flags = [
          `--name=${name}`,
          `--data-dir=${dataDir}`,
          `--listen-client-urls=${client}`,
          `--advertise-client-urls=${client}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=${cluster}`,
          '--heartbeat-interval=100',
          '--election-timeout=1000',
          ...tlsFlags,
        ];
        const [file, ...args] = command(version);
        process = host ? inHost(host.start(file, [...args, ...flags])) : onLoopback(file, [...args, ...flags]);
      },
    };
  });
  const env = { ETCDCTL_API: '3' };
  const ctlOf = async (asked: readonly string[], args: readonly string[]) => {
    const given = [`--endpoints=${asked.join(',')}`, ...ctlTls, ...(options.ctlArgs ?? []), ...args];
    const [first] = members.filter((member) => member.running());
    const run = first?.host
      ? first.host.run('etcdctl', given, { env })
      : runCommand('etcdctl', given, { env, timeoutMs: 30_000 });
    return (await run).stdout.trim();
  };
  const ctl = (...args: readonly string[]) => ctlOf(endpoints, args);
  const ready = () =>
    eventually('etcd answers', async () => (await ctl('endpoint', 'health', '--cluster')) !== undefined, {
      timeoutMs: 60_000,
      everyMs: 200,
    });
  const etcd: Etcd = {
    version,
    members,
    endpoints,
    dir,
    ctl,
    async save(snapshot) {
      const asked = members.filter((member) => member.running()).slice(0, 1);
      await ctlOf(
        asked.map(({ endpoint }) => endpoint),
        ['snapshot', 'save', snapshot],
      );
    },
    async restore(snapshot) {
      await Promise.all(members.map((member) => member.kill()));
      for (const [index, { dataDir }] of members.entries()) {
        rmSync(dataDir, { recursive: true, force: true });
        const { name, peer } = seats[index] ?? { name: '', peer: '' };
        const flags = [
          `--name=${name}`,
          `--data-dir=${dataDir}`,
          `--initial-cluster=${cluster}`,
          `--initial-advertise-peer-urls=${peer}`,
        ];
        await runCommand('etcdctl', ['snapshot', 'restore', snapshot, ...flags], {
          env,
          timeoutMs: 30_000,
        });
      }
      await Promise.all(members.map((member) => member.start()));
      await ready();
    },
    async close() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
  await Promise.all(members.map((member) => member.start()));
  await ready();
  return etcd;
}

/** The newer one with the libraries that it was made for. */
function command(version: EtcdVersion): readonly [string, ...string[]] {
  if (version === '3.4') return ['etcd'];
  const root = ensureSidRoot();
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu'].map((path) => join(root, path)).join(':');
  const loader = process.arch === 'arm64' ? 'usr/lib/ld-linux-aarch64.so.1' : 'usr/lib64/ld-linux-x86-64.so.2';
  return [join(root, loader), '--library-path', libraries, join(root, 'usr/bin/etcd')];
}

function inHost(process: HostProcess): Running {
  return {
    running: process.running,
    output: process.output,
    signal: process.signal,
    kill: async () => {
      await process.kill();
    },
  };
}

function onLoopback(file: string, args: readonly string[]): Running {
  // Ends with this process, whatever becomes of it.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', file, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-1_000_000);
  });
  let running = true;
  const exited = new Promise<void>((resolve) => {
    const end = () => {
      running = false;
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  return {
    running: () => running,
    output: () => output,
    signal: async (name) => {
      child.kill(name);
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** A CA, and certificates by it for loopback: `server` (only as a server), `client`, and `stranger` by another CA. */
export async function makeCertificates(dir: string): Promise<Record<'server' | 'client' | 'stranger', EtcdTls>> {
  const openssl = async (...args: readonly string[]) => {
    await runCommand('openssl', args, { timeoutMs: 30_000, cwd: dir });
  };
  const made = {} as Record<'server' | 'client' | 'stranger', EtcdTls>;
  for (const authority of ['ca', 'other']) {
    const subject = [
      '-subj',
      `/CN=${authority}`,
      '-days',
      '30',
      '-nodes',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
    ];
    await openssl('req', '-x509', ...subject, '-keyout', `${authority}.key`, '-out', `${authority}.pem`);
  }
  for (const [name, authority, usage] of [
    ['server', 'ca', 'serverAuth'],
    ['client', 'ca', 'clientAuth'],
    ['stranger', 'other', 'clientAuth'],
  ] as const) {
    const subject = ['-subj', `/CN=${name}`, '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const extensions = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', `extendedKeyUsage=${usage}`];
    await openssl('req', ...subject, ...extensions, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const signed = [
      '-CA',
      `${authority}.pem`,
      '-CAkey',
      `${authority}.key`,
      '-CAcreateserial',
      '-copy_extensions',
      'copy',
    ];
    await openssl('x509', '-req', '-in', `${name}.csr`, '-days', '30', ...signed, '-out', `${name}.pem`);
    chmodSync(join(dir, `${name}.key`), 0o600);
    made[name] = { ca: join(dir, 'ca.pem'), cert: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) };
  }
  return made;
}
