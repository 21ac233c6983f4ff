/** The shim with crun on a kernel that has control groups of version 2 alone: limits, their change, and nothing left at the end. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { startDaemon } from '../support/daemon.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { createHost, type Host } from '../support/host.ts';
import { cgroupParent } from '../support/run-folder.ts';
import { importBusybox } from '../support/shim.ts';

await requiresOrGuest(
  'test/integration/shim-cgroup2.test.ts',
  ...(['root', 'overlayfs', 'cgroup2', 'program:conmon', 'program:crun', 'program:docker'] as const),
);

let host: Host;
const docker = (line: string): Promise<string> =>
  host.sh(`docker ${line}`, { env: { DOCKER_HOST: 'unix:///run/cleat/docker.sock' }, timeoutMs: 60_000 });
const bare = '--network none --log-driver none';

test.before(async () => {
  host = await createHost({ name: 'cgroup2' });
  await startDaemon('shim', host, { args: ['--default-runtime', 'crun'] });
  await importBusybox(host);
});
test.after(() => host?.close());

test('what the host offers', async () => {
  assert.equal(await docker("info --format '{{.CgroupVersion}} {{.DefaultRuntime}}'"), '2 crun');
});

test('limits, their change, and what the container sees of them', async () => {
  const limits = '--memory 64m --memory-swap 64m --pids-limit 20 --cpus 0.5';
  const read = "sh -c 'cd /sys/fs/cgroup; cat memory.max memory.swap.max pids.max cpu.max'";
  assert.equal(await docker(`run --rm ${bare} ${limits} busybox ${read}`), '67108864\n0\n20\n50000 100000');
  await docker(`run -d --name one ${bare} ${limits} busybox sleep 1000`);
  await docker('update --memory 32m --memory-swap 32m --pids-limit 10 one');
  assert.match(await docker(`exec one ${read}`), /^33554432\n0\n10\n/);
  assert.equal(await docker("stats --no-stream --format '{{.Name}} {{.PIDs}}' one"), 'one 1');
  await docker('pause one');
  await docker('unpause one');
  await docker('rm -f one');
});

test('want of memory and of processes', async () => {
  const greedy = `run --name two ${bare} --memory 16m --memory-swap 16m busybox sh -c 'x=a; while true; do x=$x$x; done'`;
  assert.equal(
    await docker(`${greedy} 2>/dev/null || docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' two`),
    '137 true',
  );
  const many = "sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait' 2>&1 || true";
  assert.match(await docker(`run --rm ${bare} --pids-limit 4 busybox ${many}`), /can't fork/);
  await docker('rm two');
  const parent = cgroupParent(host.dir);
  assert.equal(await host.sh(`find /sys/fs/cgroup${parent} -mindepth 1 -type d 2>/dev/null || true`), '');
});

test.run();
