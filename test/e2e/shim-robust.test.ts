/**
 * The shim when things go wrong: SIGKILL of the shim, of monitors and of the runtime while containers come and go; requests
 * that make no sense; very many requests at once; a client that never reads. Afterwards nothing is left of it on the host.
 */
import * as assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { test } from 'uvu';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type ApiReply, callApi } from '../support/engine-api.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { cgroupParent } from '../support/run-folder.ts';
import { importBusybox } from '../support/shim.ts';

requires('root', 'overlayfs', 'program:conmon', 'program:runc');

/** Times that something is killed at a random moment. */
const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
const busy = 4;

let host: Host;
let shim: Daemon;

const api = (method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<ApiReply> =>
  callApi(host.path('/run/cleat/docker.sock'), method, path, body);

const bare = { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} } };

interface Summary {
  readonly Id: string;
  readonly State: string;
}

async function containers(): Promise<readonly Summary[]> {
  return (await api('GET', '/containers/json?all=1')).body as readonly Summary[];
}

async function create(command: readonly string[], hostConfig: object = {}): Promise<string> {
  const { status, body } = await api('POST', '/containers/create', {
    Image: 'busybox',
    Cmd: command,
    HostConfig: { ...bare, ...hostConfig },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return (body as { Id: string }).Id;
}

/** What is left on the host of containers that are gone, by the words that only they have. */
async function leftovers(): Promise<string> {
  const state = shim.stateDir;
  return host.sh(
    [
      'set +e +o pipefail',
      'pgrep -a conmon; pgrep -a runc; pgrep -ax sleep | grep -v 86400',
      `grep -E '${state}/shim/(containers|layers)|/run/cleat/shim/.*/' /proc/self/mounts | cut -d" " -f2`,
      'ls /run/cleat/shim/containers /run/cleat/shim/execs /run/cleat/shim/netns /run/cleat/shim/exits /run/cleat/shim/runtimes/runc 2>/dev/null | grep -v -e ":$" -e "^$"',
      `ls ${state}/shim/containers`,
      `find /sys/fs/cgroup -path '*${cgroupParent(host.dir)}/*' -type d -regex '.*/[0-9a-f]*' 2>/dev/null`,
      'true',
    ].join('\n'),
  );
}

async function removeAll(): Promise<void> {
  for (const { Id } of await containers()) await api('DELETE', `/containers/${Id}?force=1&v=1`);
  assert.deepEqual(await containers(), []);
}

test.before(async () => {
  host = await createHost({ name: 'robust' });
  shim = await startDaemon('shim', host);
  await importBusybox(host);
});
test.after(() => host?.close());

test('a request that makes no sense is a 4xx, never a 5xx, and leaves nothing', async () => {
  const name = fc.constantFrom(
    ...['Image', 'Cmd', 'Env', 'Entrypoint', 'User', 'WorkingDir', 'Labels', 'ExposedPorts', 'Volumes', 'StopSignal'],
    ...['Healthcheck', 'Tty', 'StopTimeout', 'Hostname', 'HostConfig', 'NetworkingConfig', 'Shell'],
  );
  const hostName = fc.constantFrom(
    ...[
      'Binds',
      'Mounts',
      'Memory',
      'NanoCpus',
      'CpusetCpus',
      'RestartPolicy',
      'PortBindings',
      'CapAdd',
      'SecurityOpt',
    ],
    ...[
      'Devices',
      'Ulimits',
      'Sysctls',
      'Tmpfs',
      'IpcMode',
      'PidMode',
      'UTSMode',
      'Runtime',
      'LogConfig',
      'Links',
      'Dns',
    ],
    ...[
      'ExtraHosts',
      'VolumesFrom',
      'GroupAdd',
      'DeviceCgroupRules',
      'DeviceRequests',
      'BlkioDeviceReadBps',
      'ShmSize',
    ],
  );
  const odd = fc.constantFrom<unknown>(
    ...['..', '/', 'container:', 'container:x', 'host', ':::', '/a:/b:/c:/d', '\0', 'a'.repeat(5000), -1, 1e300, 0.5],
    ...[
      [[]],
      [{}],
      [null],
      { '': '' },
      { 'x/y/z': [] },
      { '80/tcp': [{ HostPort: 'x' }] },
      [{ Type: 'bind' }],
      [{ Target: 1 }],
    ],
  );
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), odd);
  const body = fc.tuple(fc.dictionary(name, value, { maxKeys: 3 }), fc.dictionary(hostName, value, { maxKeys: 3 }));
  await fc.assert(
    fc.asyncProperty(body, async ([config, hostConfig]) => {
      const given = { Image: 'busybox', Cmd: ['true'], HostConfig: { ...bare, ...hostConfig }, ...config };
      const reply = await api('POST', '/containers/create', given);
      // 501: understood, and said to be impossible here.
      assert.ok(reply.status < 500 || reply.status === 501, `${JSON.stringify(given)}: ${JSON.stringify(reply)}`);
    }),
    { numRuns: 150 },
  );
  const verbs = [
    'json',
    'top',
    'stats',
    'logs',
    'archive',
    'start',
    'resize',
    'wait',
    'exec',
    'attach',
    'rename',
    'update',
  ];
  const query = fc.dictionary(
    fc.constantFrom(
      'path',
      'h',
      'w',
      'signal',
      't',
      'name',
      'condition',
      'filters',
      'stream',
      'ps_args',
      'tail',
      'since',
    ),
    fc.oneof(fc.string(), fc.constantFrom('../..', '-1', '1e9', 'a,b', '{"a":1}', '%00')),
    { maxKeys: 3 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...verbs),
      fc.constantFrom('GET', 'POST', 'PUT'),
      query,
      async (verb, method, given) => {
        const text = new URLSearchParams(given).toString();
        for (const path of [`/containers/nosuch/${verb}`, `/exec/nosuch/${verb}`, '/containers/json', '/events/x']) {
          const reply = await api(method, `${path}?${text}`);
          assert.ok(reply.status >= 200 && reply.status < 500, `${method} ${path}?${text}: ${JSON.stringify(reply)}`);
        }
      },
    ),
    { numRuns: 60 },
  );
  await removeAll();
  assert.equal(await leftovers(), '');
});

test('500 requests at once', async () => {
  const id = await create(['sleep', '1000']);
  assert.equal((await api('POST', `/containers/${id}/start`)).status, 204);
  const paths = [
    '/containers/json',
    `/containers/${id}/json`,
    '/info',
    '/_ping',
    `/containers/${id}/stats?stream=0&one-shot=1`,
  ];
  const replies = await Promise.all(
    Array.from({ length: 500 }, (_, index) => api('GET', paths[index % paths.length] as string)),
  );
  assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]));
  await removeAll();
  assert.equal(await leftovers(), '');
});

test('a client that never reads holds nobody up for ever', async () => {
  const id = await create(['sh', '-c', 'yes | head -c 20000000; echo end > /tmp/done; sleep 1000']);
  const socket = connect(host.path('/run/cleat/docker.sock'));
  socket.pause();
  socket.write(
    `POST /containers/${id}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`,
  );
  assert.equal((await api('POST', `/containers/${id}/start`)).status, 204);
  await eventually('the container gets on', async () => {
    const { status } = await api('HEAD', `/containers/${id}/archive?path=/tmp/done`);
    return status === 200;
  });
  socket.destroy();
  await removeAll();
  assert.equal(await leftovers(), '');
});

/** Goes on until told to stop; whatever fails because something was killed is no failure. */
async function keepBusy(stop: { now: boolean }, number: number): Promise<void> {
  const commands = [['true'], ['sh', '-c', 'exit 3'], ['sleep', '1000'], ['sh', '-c', 'sleep 0.2; echo x']];
  for (let count = number; !stop.now; count += 1) {
    try {
      const hostConfig = [{}, { AutoRemove: true }, { RestartPolicy: { Name: 'always' } }, { IpcMode: 'shareable' }];
      const id = await create(
        commands[count % commands.length] as string[],
        hostConfig[(count >> 1) % hostConfig.length],
      );
      await api('POST', `/containers/${id}/start`);
      const { status, body } = await api('POST', `/containers/${id}/exec`, { Cmd: ['sh', '-c', 'sleep 0.1'] });
      if (status === 201) await api('POST', `/exec/${(body as { Id: string }).Id}/start`, { Detach: true });
      if (count % 2 === 0) await api('DELETE', `/containers/${id}?force=1`);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

test('SIGKILL of anything at any moment', async () => {
  const victims = ['shim', 'conmon', 'runc', 'shim', 'init'];
  for (let round = 0; round < rounds; round += 1) {
    const stop = { now: false };
    const work = Array.from({ length: busy }, (_, number) => keepBusy(stop, number));
    await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 1200));
    const victim = victims[round % victims.length];
    if (victim === 'shim') await shim.kill();
    else
      await host.sh(
        `set +e +o pipefail; for i in $(seq 50); do p=$(pgrep ${victim === 'init' ? '-x sleep' : victim} | head -1); [ -n "$p" ] && kill -9 $p && break; done; true`,
      );
    stop.now = true;
    if (victim === 'shim') await shim.start();
    await Promise.all(work);
    // Every container is known, and can be looked at and removed.
    for (const { Id } of await containers()) {
      const { status } = await api('GET', `/containers/${Id}/json`);
      assert.ok(status === 200 || status === 404, `inspect after the end of ${victim}: ${status}`);
    }
    await removeAll();
    await eventually(`nothing is left after the end of ${victim}`, async () => {
      const left = await leftovers();
      if (left !== '') throw new Error(left);
      return true;
    });
  }
});

test('exit codes and output outlive the shim', async () => {
  const id = await create(['sh', '-c', 'sleep 1; exit 42']);
  await api('POST', `/containers/${id}/start`);
  await shim.kill();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await shim.start();
  const state = await eventually('the end is noticed', async () => {
    const { body } = await api('GET', `/containers/${id}/json`);
    const { State } = body as { State: { Status: string; ExitCode: number } };
    return State.Status === 'exited' ? State : undefined;
  });
  assert.equal(state.ExitCode, 42);
  await removeAll();
  assert.equal(await leftovers(), '');
});

test('what a terminal says while the shim is away is in the log', async () => {
  const logd = await startDaemon('logd', host, { logLevel: 'info' });
  const script = (last: number) => `i=0; while [ $i -lt ${last} ]; do i=$((i+1)); echo line $i; sleep 0.05; done`;
  const made = async (command: string): Promise<string> => {
    const { status, body } = await api('POST', '/containers/create', {
      ...{ Image: 'busybox', Cmd: ['sh', '-c', command], Tty: true },
      HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'cleat-json-file', Config: {} } },
    });
    assert.equal(status, 201, JSON.stringify(body));
    const { Id } = body as { Id: string };
    await api('POST', `/containers/${Id}/start`);
    return Id;
  };
  // One ends while nobody is there, the other goes on.
  const ids = [await made(script(20)), await made(`${script(60)}; sleep 1000`)];
  for (const wait of [200, 1500, 300]) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    await shim.kill();
    await new Promise((resolve) => setTimeout(resolve, wait));
    await shim.start();
  }
  for (const [index, id] of ids.entries()) {
    const expected = Array.from({ length: index === 0 ? 20 : 60 }, (_, line) => `line ${line + 1}`);
    await eventually('every line is in the log, once', async () => {
      const text = String((await api('GET', `/containers/${id}/logs?stdout=1`)).body);
      const lines = text.split(/\r?\n/).filter((line) => line !== '');
      assert.deepEqual(lines, expected);
      return true;
    });
  }
  await removeAll();
  await logd.stop();
  assert.equal(await leftovers(), '');
});

/** The whole list in one request, for clients that keep their connection. */
test('a connection is used again', async () => {
  const { Agent } = await import('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let count = 0; count < 20; count += 1) {
    const status = await new Promise((resolve, reject) => {
      const call = request({ socketPath: host.path('/run/cleat/docker.sock'), path: '/_ping', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      });
      call.on('error', reject);
      call.end();
    });
    assert.equal(status, 200);
  }
  agent.destroy();
});

test.run();
