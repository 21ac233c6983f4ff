/**
 * The shim on a kernel with control groups of version 2 alone, with each OCI runtime: limits, their change, use, freezing,
 * want of memory, and nothing left at the end.
 */
import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { ensureImageArchive } from '../../lab/setup/images.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type ApiReply, callApi } from '../support/engine-api.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { createHost, type Host } from '../support/host.ts';

await requiresOrGuest('test/integration/shim-cgroup2.test.ts', 'root', 'overlayfs', 'cgroup2', 'program:conmon');

const group = '/cleat-cgroup2';

for (const runtime of ['crun', 'runc']) {
  const test = suite(`control groups of version 2, ${runtime}`);
  let host: Host;
  let shim: Daemon;

  const api = (method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<ApiReply> =>
    callApi(host.path('/run/cleat/docker.sock'), method, path, body);
  const ok = async (method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<unknown> => {
    const reply = await api(method, path, body);
    assert.ok(reply.status < 300, `${method} ${path}: ${JSON.stringify(reply)}`);
    return reply.body;
  };
  const run = async (command: readonly string[], hostConfig: object = {}): Promise<string> => {
    const { Id: id } = (await ok('POST', '/containers/create', {
      Image: 'busybox',
      Cmd: command,
      HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} }, ...hostConfig },
    })) as { Id: string };
    await ok('POST', `/containers/${id}/start`);
    return id;
  };
  const stateOf = async (id: string) =>
    ((await ok('GET', `/containers/${id}/json`)) as { State: { Status: string; ExitCode: number; OOMKilled: boolean } })
      .State;
  const file = (id: string, name: string): Promise<string> => host.sh(`cat /sys/fs/cgroup${group}/${id}/${name}`);

  test.before(async () => {
    host = await createHost({ name: 'cgroup2' });
    shim = await startDaemon('shim', host, { args: ['--cgroup-parent', group, '--default-runtime', runtime] });
    const image = ensureImageArchive('busybox');
    const loaded = await callApi(host.path('/run/cleat/docker.sock'), 'POST', '/images/create?fromSrc=-&repo=busybox', {
      file: image,
    });
    assert.equal(loaded.status, 200, JSON.stringify(loaded.body));
  });
  test.after(() => host?.close());

  test('what the host offers', async () => {
    const info = (await ok('GET', '/info')) as Record<string, unknown>;
    assert.equal(info['CgroupVersion'], '2');
    assert.equal(info['DefaultRuntime'], runtime);
  });

  test('limits, their change and their use', async () => {
    const id = await run(['sleep', '1000'], { Memory: 64 << 20, PidsLimit: 20, NanoCpus: 500_000_000, CpuShares: 512 });
    assert.equal(await file(id, 'memory.max'), String(64 << 20));
    assert.equal(await file(id, 'pids.max'), '20');
    assert.equal(await file(id, 'cpu.max'), '50000 100000');
    await ok('POST', `/containers/${id}/update`, { Memory: 32 << 20, MemorySwap: 32 << 20, PidsLimit: 10 });
    assert.equal(await file(id, 'memory.max'), String(32 << 20));
    assert.equal(await file(id, 'pids.max'), '10');
    const stats = (await ok('GET', `/containers/${id}/stats?stream=0&one-shot=1`)) as {
      memory_stats: { usage: number; limit: number };
      pids_stats: { current: number };
    };
    assert.equal(stats.memory_stats.limit, 32 << 20);
    assert.ok(stats.memory_stats.usage > 0);
    assert.equal(stats.pids_stats.current, 1);
    await ok('DELETE', `/containers/${id}?force=1`);
  });

  test('its own view of the groups, commands in it, and freezing', async () => {
    const id = await run(['sleep', '1000']);
    const { Id: exec } = (await ok('POST', `/containers/${id}/exec`, {
      Cmd: ['sh', '-c', 'cat /proc/self/cgroup; test -f /sys/fs/cgroup/cgroup.procs || exit 9'],
      AttachStdout: true,
    })) as { Id: string };
    const output = String(await ok('POST', `/exec/${exec}/start`, { Detach: false, Tty: false }));
    assert.match(output, /0::\//);
    await eventually('the command ends', async () => {
      const found = (await ok('GET', `/exec/${exec}/json`)) as { Running: boolean; ExitCode: number };
      if (found.Running) return false;
      assert.equal(found.ExitCode, 0, output);
      return true;
    });
    await ok('POST', `/containers/${id}/pause`);
    assert.equal(await file(id, 'cgroup.freeze'), '1');
    const top = (await ok('GET', `/containers/${id}/top`)) as { Processes: string[][] };
    assert.equal(top.Processes.length, 1);
    await ok('POST', `/containers/${id}/unpause`);
    assert.equal(await file(id, 'cgroup.freeze'), '0');
    await ok('DELETE', `/containers/${id}?force=1`);
  });

  test('want of memory is told', async () => {
    const id = await run(['sh', '-c', 'x=a; while true; do x=$x$x; done'], { Memory: 16 << 20, MemorySwap: 16 << 20 });
    const state = await eventually(
      'it is killed',
      async () => {
        const found = await stateOf(id);
        return found.Status === 'exited' ? found : undefined;
      },
      { timeoutMs: 60_000 },
    );
    assert.equal(state.ExitCode, 137);
    assert.equal(state.OOMKilled, true);
    await ok('DELETE', `/containers/${id}`);
  });

  test('exit codes outlive the shim, and nothing is left', async () => {
    const id = await run(['sh', '-c', 'sleep 2; exit 42']);
    await shim.kill();
    await shim.start();
    const state = await eventually('the end is noticed', async () => {
      const found = await stateOf(id);
      return found.Status === 'exited' ? found : undefined;
    });
    assert.equal(state.ExitCode, 42);
    await ok('DELETE', `/containers/${id}`);
    const left = await host.sh(
      `set +e +o pipefail; find /sys/fs/cgroup${group} -mindepth 1 -type d; pgrep -a conmon; ls /run/cleat/shim/netns; true`,
    );
    assert.equal(left, '');
  });

  test.run();
}
