/** Real log servers of Debian in a test's host: rsyslog as installed, syslog-ng unpacked beside it, since the two packages conflict. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from '../../lab/setup/cache.ts';
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { HostProcess } from './process.ts';

export interface LogServer {
  /** What it has written so far: one message a line. */
  messages(): string[];
  /** SIGKILL. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

let servers = 0;

/**
 * `inputs` are rsyslog's own statements. Its queue is off: what it has read is in the file, also when it is killed. The file gets the messages'
 * text after the tag. Not started yet.
 */
export function rsyslog(host: Host, inputs: string): LogServer {
  const folder = join(host.dir, `rsyslog-${++servers}`);
  mkdirSync(folder);
  const out = join(folder, 'messages');
  const config = join(folder, 'rsyslog.conf');
  writeFileSync(
    config,
    `main_queue(queue.type="Direct")
global(workDirectory="${folder}" maxMessageSize="2m")
template(name="text" type="string" string="%msg:::drop-last-lf%\\n")
${inputs}
action(type="omfile" file="${out}" template="text")
`,
  );
  return server(
    host,
    out,
    () => host.start('rsyslogd', ['-n', '-f', config, '-i', join(folder, 'pid')]),
    async (process) => {
      // rsyslog says nothing when it is ready: its sockets do.
      await eventually('rsyslog listens', async () => {
        if (!process.running()) throw new Error(process.output());
        // Its own messages go to /dev/log, which makes that socket look connected.
        return listens(await host.sh('ss -Hlntu; ss -Hax'), inputs);
      });
    },
  );
}

/** The ports and paths of the inputs are all there. */
function listens(sockets: string, inputs: string): boolean {
  const wanted = [...inputs.matchAll(/port="(\d+)"|socket="([^"]+)"/gi)].map(([, port, path]) =>
    port ? `:${port} ` : path,
  );
  return wanted.every((place) => place !== undefined && sockets.includes(place));
}

/** `sources` are syslog-ng's drivers inside `source { }`. Not started yet. */
export function syslogNg(host: Host, sources: string): LogServer {
  const root = unpackSyslogNg();
  const folder = join(host.dir, `syslog-ng-${++servers}`);
  mkdirSync(folder);
  const out = join(folder, 'messages');
  const config = join(folder, 'syslog-ng.conf');
  writeFileSync(
    config,
    `@version: 3.38
options { log-msg-size(2097152); keep-timestamp(yes); flush-lines(1); stats-freq(0); };
source in { ${sources} };
destination out { file("${out}" template("$MSG\\n")); };
log { source(in); destination(out); flags(flow-control); };
`,
  );
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/syslog-ng', 'lib/x86_64-linux-gnu'].map((path) =>
    join(root, path),
  );
  const control = join(folder, 'control');
  const flags = [
    '-F',
    '-f',
    config,
    '-R',
    join(folder, 'persist'),
    '-p',
    join(folder, 'pid'),
    '-c',
    control,
    '--no-caps',
  ];
  const modules = ['--module-path', join(root, 'usr/lib/syslog-ng/3.38')];
  const start = () =>
    host.start(join(root, 'usr/sbin/syslog-ng'), [...flags, ...modules], {
      env: { LD_LIBRARY_PATH: libraries.join(':') },
    });
  return server(host, out, start, async (process) => {
    await eventually('syslog-ng answers', () => {
      if (!process.running()) throw new Error(process.output());
      return existsSync(control);
    });
  });
}

function server(
  _host: Host,
  out: string,
  run: () => HostProcess,
  ready: (process: HostProcess) => Promise<unknown>,
): LogServer {
  let process: HostProcess | undefined;
  return {
    messages: () => (existsSync(out) ? readFileSync(out, 'utf8').split('\n').slice(0, -1) : []),
    async kill() {
      await process?.kill();
    },
    async start() {
      process = run();
      await ready(process);
    },
  };
}

/** The unpacked packages, once for all tests of this machine. */
function unpackSyslogNg(): string {
  const path = join(cacheDir(), 'syslog-ng-3.38');
  const script = `
    test -e "$0" && exit 0
    rm -rf "$0.partial"; mkdir -p "$0.partial/packages"; cd "$0.partial/packages"
    apt-get -q download syslog-ng-core libivykis0 libnet1 libjson-c5 libwrap0
    for package in *.deb; do dpkg -x "$package" ..; done
    mv "$0.partial" "$0"`;
  const child = spawnSync('flock', [`${path}.lock`, 'sh', '-euc', script, path], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (child.status !== 0) throw new Error(`syslog-ng cannot be unpacked: ${child.stderr}`);
  return path;
}
