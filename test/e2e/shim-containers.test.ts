/**
 * Verbs and options of containers on the shim and on Docker 28 side by side, by the same docker command: the same output, the
 * same messages, the same exit codes. On 20.10, whose engine words things differently, the exit codes.
 */
import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine, usualEngines } from '../support/engine.ts';
import { requires } from '../support/requires.ts';
import { type CliResult, runOnEngine, type Shim, startShim } from '../support/shim.ts';

requires('root', 'overlayfs', 'engine-20.10', 'engine-28', 'program:conmon');

/** Nothing of networks and logs, which have tests of their own. */
const bare = ['--network', 'none', '--log-driver', 'none'];
const run = (...args: readonly string[]): readonly string[] => ['run', '--rm', ...bare, ...args];
const sh = (script: string): readonly string[] => ['busybox', 'sh', '-c', script];
const refused = (...args: readonly string[]): readonly string[] => ['create', ...bare, ...args, 'busybox', 'true'];

/** Options, one by one. */
const options: readonly (readonly string[])[] = [
  // exit codes
  run('busybox', 'sh', '-c', 'exit 3'),
  run('busybox', 'nosuch'),
  run('busybox', '/etc/passwd'),
  run('--entrypoint', '', 'busybox', 'echo', 'no entrypoint'),
  run('--entrypoint', '/bin/echo', 'busybox', 'given'),
  run('-w', '/made/here', 'busybox', 'pwd'),
  run('-w', 'relative', 'busybox', 'pwd'),
  run('-u', 'nosuch', 'busybox', 'id'),
  run('-u', 'nobody', ...sh('id; echo $HOME')),
  run('-u', '1000:1001', '--group-add', '7', 'busybox', 'id'),
  run('-e', 'A=b', '-e', 'C', ...sh('echo $A/$C')),
  run('-h', 'name', '--domainname', 'example.org', ...sh('hostname; cat /proc/sys/kernel/domainname')),
  run('--uts', 'host', '-h', 'name', 'busybox', 'true'),
  // the process
  run('busybox', 'grep', '-E', '^(Cap|NoNewPrivs|Seccomp:)', '/proc/self/status'),
  run('--privileged', 'busybox', 'grep', '-E', '^(Cap|NoNewPrivs|Seccomp:)', '/proc/self/status'),
  run('--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN', 'busybox', 'grep', '^Cap', '/proc/self/status'),
  run('-u', 'nobody', '--cap-add', 'SYS_TIME', 'busybox', 'grep', '^Cap', '/proc/self/status'),
  run('--security-opt', 'no-new-privileges', 'busybox', 'grep', 'NoNewPrivs', '/proc/self/status'),
  run('--security-opt', 'seccomp=unconfined', 'busybox', 'grep', 'Seccomp:', '/proc/self/status'),
  run(...sh('unshare -m true')),
  run('--ulimit', 'nofile=100:200', '--ulimit', 'core=0', ...sh('ulimit -n; ulimit -Hn; ulimit -c')),
  run('--oom-score-adj', '100', 'busybox', 'cat', '/proc/self/oom_score_adj'),
  run('--init', ...sh('cat /proc/1/cmdline | tr "\\0" " "')),
  run('--sysctl', 'net.ipv4.ip_forward=1', 'busybox', 'cat', '/proc/sys/net/ipv4/ip_forward'),
  // the file system
  run('--read-only', ...sh('touch /x')),
  run('--tmpfs', '/t:size=1m,mode=700', ...sh('stat -c %a /t; df -k /t | tail -1; grep " /t " /proc/mounts')),
  run('--shm-size', '1m', ...sh('df -k /dev/shm | tail -1')),
  run(...sh("awk '{print $2, $3}' /proc/mounts | grep -v -e resolv -e hosts -e hostname | sort")),
  run(...sh('ls /dev | sort; ls -l /dev/fd /dev/stdin | sed "s/.*-> //"')),
  run('--device', '/dev/null:/dev/mine:r', ...sh('stat -c "%t:%T %F" /dev/mine')),
  run('--device', '/dev/nosuch', 'busybox', 'true'),
  run('--ipc', 'none', ...sh('ls -d /dev/shm')),
  // limits
  run(
    ...['-m', '64m', '--memory-reservation', '32m', '--cpus', '0.5', '--pids-limit', '20', '--cpu-shares', '512'],
    ...['--cpuset-cpus', '0'],
    ...sh(
      'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max cpu/cpu.shares cpuset/cpuset.cpus',
    ),
  ),
  refused('-m', '1m'),
  refused('-m', '64m', '--memory-swap', '32m'),
  refused('--memory-swap', '32m'),
  refused('-m', '64m', '--memory-reservation', '128m'),
  refused('--memory-swappiness', '101'),
  refused('--cpus', '1000'),
  refused('--cpus', '1', '--cpu-quota', '5000'),
  refused('--cpu-period', '10'),
  refused('--cpuset-cpus', '999'),
  refused('--cpuset-cpus', 'x'),
  refused('--blkio-weight', '5'),
  refused('--oom-score-adj', '2000'),
  refused('--cap-add', 'NOSUCH'),
  refused('--runtime', 'nosuch'),
  refused('--stop-signal', 'NOSUCH'),
  refused('--ipc', 'wrong'),
  refused('--health-cmd', 'true', '--health-interval', '1us'),
  refused('--restart', 'sometimes'),
  refused('--restart', 'always:3'),
  refused('--volumes-from', 'nosuch'),
  ['create', '--name', '_wrong', ...bare, 'busybox'],
  ['create', '--network', 'container:nosuch', '--log-driver', 'none', 'busybox'],
];

/** In this order: one container through its life, then others. */
const life: readonly (readonly string[])[] = [
  ['run', '-d', '--name', 'one', ...bare, '-e', 'A=b', '--stop-timeout', '1', 'busybox', 'sleep', '1000'],
  ['create', '--name', 'one', ...bare, 'busybox'],
  ['exec', 'one', 'echo', 'hello'],
  ['exec', 'one', 'sh', '-c', 'echo out; echo err >&2; exit 7'],
  ['exec', 'one', 'nosuch'],
  ['exec', 'one', '/etc'],
  ['exec', '-w', '/nosuch', 'one', 'pwd'],
  ['exec', '-w', '/tmp', '-u', 'nobody', '-e', 'X=y', 'one', 'sh', '-c', 'pwd; id; echo $A$X'],
  ['exec', '-u', 'nosuch', 'one', 'id'],
  ['exec', '--privileged', 'one', 'grep', 'CapEff', '/proc/self/status'],
  ['exec', '-t', 'one', 'sh', '-c', 'tty; exit 5'],
  ['exec', '-d', 'one', 'touch', '/detached'],
  ['exec', 'nosuch', 'true'],
  ['inspect', '--format', '{{json .ExecIDs}}', 'one'],
  ['top', 'one', '-o', 'pid,comm'],
  ['top', 'one', '-o', 'comm'],
  ['pause', 'one'],
  ['pause', 'one'],
  ['ps', '--format', '{{.Names}} {{.State}} {{.Status}}'],
  ['exec', 'one', 'true'],
  ['attach', 'one'],
  ['start', 'one'],
  ['unpause', 'one'],
  ['unpause', 'one'],
  ['rename', 'one', 'one'],
  ['rename', 'one', 'two'],
  ['rename', 'nosuch', 'three'],
  ['port', 'two'],
  ['update', '-m', '64m', '--memory-swap', '128m', '--restart', 'on-failure:3', 'two'],
  ['inspect', '--format', '{{.HostConfig.Memory}} {{json .HostConfig.RestartPolicy}}', 'two'],
  ['update', '-m', '1m', 'two'],
  ['update', '--restart', 'no', 'two'],
  ['kill', '-s', 'NOSUCH', 'two'],
  ['kill', '-s', 'USR2', 'two'],
  ['cp', 'two:/etc/nosuch', '-'],
  ['rm', 'two'],
  ['stop', 'two'],
  ['inspect', '--format', '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.RestartCount}}', 'two'],
  ['stop', 'two'],
  ['kill', 'two'],
  ['pause', 'two'],
  ['top', 'two'],
  ['exec', 'two', 'true'],
  ['wait', 'two'],
  ['restart', '-t', '0', 'two'],
  ['rm', '-f', 'two', 'nosuch'],
  ['run', '--name', 'greedy', '-m', '16m', ...bare, ...sh('x=a; while true; do x=$x$x; done')],
  ['inspect', '--format', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'greedy'],
  ['rm', 'greedy'],
  // what inspect shows of options that nobody gave
  ['create', '--name', 'plain', ...bare, 'busybox', 'true'],
  ...[
    'HostConfig.IpcMode',
    'HostConfig.CgroupnsMode',
    'HostConfig.ShmSize',
    'HostConfig.RestartPolicy',
    'HostConfig.Runtime',
  ].map((field) => ['inspect', '--format', `{{json .${field}}}`, 'plain']),
  ...[
    'State',
    'Config.Env',
    'Config.Cmd',
    'HostConfig.MaskedPaths',
    'HostConfig.ReadonlyPaths',
    'HostConfig.PidsLimit',
    'HostConfig.OomKillDisable',
  ].map((field) => ['inspect', '--format', `{{json .${field}}}`, 'plain']),
  ['inspect', '--format', '{{json .Config}}', 'plain'],
  ['inspect', '--format', '{{range $k, $v := .HostConfig}}{{$k}}={{json $v}} {{end}}', 'plain'],
  ['rm', 'plain'],
];

/** Where 20.10 gives another exit code than 28, and the shim does as 28 does. */
const differsOnOld: readonly string[] = [
  '--privileged', // 20.10 adds capabilities that it does not have itself
  '--blkio-weight',
  '--ipc wrong',
  'exec one nosuch', // 126 there
  'exec -u nosuch', // 126 there
  'exec -w /nosuch',
];

function normalize({ code, stdout, stderr }: CliResult): CliResult {
  const clean = (text: string) =>
    text
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'ID')
      .replaceAll(/"Hostname":"[0-9a-f]{12}"/g, '"Hostname":"SHORT"')
      .replaceAll(/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/g, 'TIME')
      .replaceAll(/(About )?(a|an|[0-9]+|Less than a) (second|minute)s?( ago)?/g, 'AGO')
      .replaceAll(/^[0-9]+( +sleep)$/gm, 'PID$1')
      // Words of the OCI runtime, which is another version in each root.
      .replaceAll('error during container init: ', '')
      .replaceAll('is a directory: permission denied', 'permission denied')
      .replaceAll(/ {2,}/g, ' ')
      .trim();
  return { code, stdout: clean(stdout), stderr: clean(stderr) };
}

for (const version of usualEngines) {
  const test = suite<{ engine: Engine; shim: Shim }>(`containers, engine ${version}`);

  test.before(async (context) => {
    context.engine = await startEngine({ version: version as EngineVersion });
    context.shim = await startShim(context.engine);
    const archive = `${context.engine.host.dir}/busybox.tar`;
    await context.engine.docker('save', '-o', archive, 'busybox');
    const loaded = await context.shim.docker('load', '-i', archive);
    assert.equal(loaded.code, 0, loaded.stderr);
  });
  test.after((context) => context.engine?.close());

  test('the same answers', async ({ engine, shim }) => {
    const problems: string[] = [];
    // What the options do is the same whoever asks: once is enough.
    for (const args of version === '28' ? [...options, ...life] : life) {
      const [ours, theirs] = await Promise.all([shim.docker(...args), runOnEngine(engine, ...args)]);
      const shown = args.join(' ');
      if (version !== '28' && differsOnOld.some((part) => shown.includes(part))) continue;
      const [a, b] = [normalize(ours), normalize(theirs)];
      const same = version === '28' ? JSON.stringify(a) === JSON.stringify(b) : a.code === b.code;
      if (!same) problems.push(`docker ${shown}\n  shim   ${JSON.stringify(a)}\n  engine ${JSON.stringify(b)}`);
    }
    assert.equal(problems.join('\n'), '');
  });

  test('input that ends at once, and input through a pipe', async ({ shim }) => {
    for (const command of [run('-i', 'busybox', 'cat'), run('-i', 'busybox', 'wc', '-c')]) {
      const empty = await shim.dockerWith({ input: '' }, ...command);
      assert.equal(empty.code, 0, empty.stderr);
    }
    const much = await shim.dockerWith({ input: 'x'.repeat(3_000_000) }, ...run('-i', 'busybox', 'wc', '-c'));
    assert.equal(much.stdout.trim(), '3000000');
  });

  test('cp in both directions, on a container that runs and one that does not', async ({ engine, shim }) => {
    const folder = engine.host.dir;
    await engine.host.sh(
      `mkdir -p ${folder}/in/sub; echo one > ${folder}/in/sub/file; ln -s sub/file ${folder}/in/link`,
    );
    await shim.docker('run', '-d', '--name', 'box', ...bare, 'busybox', 'sleep', '1000');
    for (const state of ['running', 'stopped']) {
      assert.equal((await shim.docker('cp', `${folder}/in`, `box:/${state}`)).code, 0);
      assert.equal((await shim.docker('cp', `box:/${state}`, `${folder}/out-${state}`)).code, 0);
      const same = await engine.host.sh(
        `diff -r ${folder}/in ${folder}/out-${state} && readlink ${folder}/out-${state}/link`,
      );
      assert.equal(same, 'sub/file');
      await shim.docker('stop', '-t', '0', 'box');
    }
    await shim.docker('rm', '-f', 'box');
  });

  test('restarts after failures, so many and no more', async ({ engine, shim }) => {
    const command = ['run', '-d', '--name', 'again', '--restart', 'on-failure:2', ...bare, ...sh('exit 3')];
    const show = ['inspect', '--format', '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}', 'again'];
    for (const docker of [shim.docker, (...args: string[]) => runOnEngine(engine, ...args)]) {
      assert.equal((await docker(...command)).code, 0);
      await eventually('the last attempt', async () => (await docker(...show)).stdout.trim() === 'exited 3 2');
      assert.equal((await docker('rm', 'again')).code, 0);
    }
  });

  test.run();
}
