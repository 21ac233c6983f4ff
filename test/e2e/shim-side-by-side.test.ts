/**
 * Many short commands at the shim and at Docker 28 side by side, by the same docker command: the same exit code, output and
 * messages. Each engine has a host of its own, so that networks, ports and names are the same on both.
 */
import * as assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite } from 'uvu';
import { CommandError } from '../../plugins/linux/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { cgroupParent } from '../support/run-folder.ts';
import type { CliResult } from '../support/shim.ts';

requires('parity-run', 'root', 'overlayfs', 'engine-28', 'program:conmon', 'bridge', 'nftables');

/** One command a line, words as a shell splits them; `# …` tells what a group is about. */
const commands = String.raw`
# networks
network create n1
network create n1
network create --subnet 10.5.0.0/24 --gateway 10.5.0.1 --label a=b n2
network create --subnet bad n3
network create --subnet 10.6.0.5/24 n3
network create --gateway 10.6.0.1 n3
network create --subnet 10.6.0.0/24 --ip-range 10.7.0.0/24 n3
network create --subnet 10.6.0.0/24 --gateway 10.7.0.1 n3
network create -d host n3
network create -d null n3
network create bridge
network create ""
network create --ingress n3
network create --config-only --subnet 10.8.0.0/24 cfg
network create --config-from cfg n8
network create --config-from nosuch n8b
network ls -q --filter name=n1
network ls --filter id=zzz
network ls --filter driver=bridge --format {{.Name}}
network ls --filter type=builtin --format {{.Name}}
network ls --filter type=custom --format {{.Name}}
network ls --filter type=wrong
network ls --filter scope=local --format {{.Name}}
network ls --filter scope=swarm
network ls --filter label=a=b --format {{.Name}}:{{.Labels}}
network ls --filter label=a=c
network ls --filter dangling=true --format {{.Name}}
network ls --filter dangling=x
network ls --filter nosuch=1
network ls --format {{.Name}}:{{.Scope}}:{{.IPv6}}:{{.IPv4}}:{{.Internal}}:{{.Labels}}
network inspect none
network inspect host
network inspect nosuch
network inspect --format "{{json .IPAM.Config}} {{json .IPAM.Options}} {{json .Options}} {{json .Labels}}" n2
network rm nosuch
network rm bridge
network rm cfg
network rm n8 cfg nosuch n2
network rm -f nosuch
network prune -f --filter label=a
network prune -f --filter until=x
network prune -f --filter nosuch=x
network prune -f
network connect nosuch nosuch
network connect bridge nosuch
network disconnect bridge nosuch
# volumes
volume create v1
volume create v1
volume create --label a=b v2
volume create "a b"
volume create a
volume create ../x
volume ls -q --filter name=v
volume ls --filter driver=local --filter name=v
volume ls --filter label=a --format {{.Name}}
volume ls --filter dangling=true --filter name=v --format {{.Name}}
volume ls --filter dangling=x
volume ls --filter nosuch=x
volume ls --format "{{.Name}}:{{.Driver}}:{{.Scope}}:{{.Labels}}:{{.Links}}:{{.Size}}" --filter name=v
volume inspect nosuch
volume rm nosuch
volume rm -f nosuch
volume rm v1 nosuch v2
volume prune -f --filter nosuch=1
# what a container may be made with
create --name x1 -p 80 busybox true
create --name x1 busybox true
create -p 99999:80 busybox true
create -v a:/b:ro,rw busybox true
create -v /x:relative busybox true
create -v /a:/ busybox true
create --mount type=bind,source=/nosuch,target=/x busybox true
create --mount type=bind,target=/x busybox true
create --mount type=volume,target=rel busybox true
create --mount type=wrong,target=/x busybox true
create --mount type=bind,source=/tmp,target=/x,bind-propagation=wrong busybox true
create --mount type=volume,target=/x --mount type=volume,target=/x busybox true
create --tmpfs rel busybox true
create --volumes-from x1:zz busybox true
create --link nosuch busybox true
create --ip 1.2.3.4 busybox true
create --network none --ip 1.2.3.4 busybox true
create --network container: busybox true
create --network container:x1 --hostname foo busybox true
create --network host --link x1 busybox true
create --mac-address wrong busybox true
create --pid container:nosuch busybox true
create --ipc container:nosuch busybox true
create --pid wrong busybox true
create --userns wrong busybox true
create --log-opt mode=wrong busybox true
create --log-opt mode=non-blocking --log-opt max-buffer-size=x busybox true
create --sysctl wrong busybox true
create --device-cgroup-rule wrong busybox true
create --security-opt wrong busybox true
create --health-interval=-1s --health-cmd x busybox true
create --restart on-failure:-1 busybox true
create --restart always --rm busybox true
create --stop-signal 99 --name stop99 busybox true
create --name "a b" busybox true
create "" true
start nosuch x1
# lists
ps -a --format "{{.Names}}|{{.Image}}|{{.Command}}|{{.Labels}}|{{.Networks}}" --filter name=x1
ps -a --filter status=wrong
ps -a --filter exited=0 --filter name=x1 --format {{.Names}}
ps -a --filter exited=x
ps -a --filter ancestor=nosuch --format {{.Names}}
ps -a --filter since=nosuch
ps -a --filter publish=80 --format {{.Names}}
ps -a --filter expose=80/tcp --format {{.Names}}
ps -a --filter publish=x
ps -a --filter health=none --filter name=x1 --format {{.Names}}
ps -a --filter health=wrong
ps -a --filter nosuch=1
# one container through its verbs
run -d --name r1 --label a=b -p 8081:80 --stop-timeout 1 --log-driver none busybox sleep 1000
port r1
port r1 80
port r1 99
inspect r1 --format "{{json .NetworkSettings.Ports}}"
inspect r1 --format "{{range $k,$v := .}}{{$k}} {{end}}"
inspect -s r1 --format "{{.SizeRw}}"
inspect nosuch
top r1 -o comm,pid
top r1 wrongopt
stats --no-stream --format "{{.Name}} {{.PIDs}}" r1
stats --no-stream nosuch
logs nosuch
logs r1
exec r1 sh -c "echo hi >&2; exit 4"
exec -e A r1 env
exec -u 1:2 r1 id
exec --detach-keys wrong, r1 true
diff nosuch
cp r1:/nosuch -
cp r1:/etc/passwd nosuch:/x
commit r1 Bad:Name
commit --change "BAD x" r1 c:2
commit --change "EXPOSE 99" --change "ENTRYPOINT [\"/x\"]" -a me -m msg r1 c:3
image inspect c:3 --format "{{json .Config}} {{.Author}} {{.Comment}} {{.Architecture}} {{.Os}}"
history -q c:3
images --filter reference=c:* --format "{{.Repository}}:{{.Tag}}"
images --filter before=nosuch
images --filter dangling=x
rmi busybox
rmi c:3
rmi -f nosuch
tag nosuch x:y
tag busybox x:y:z
save nosuch
load -i /etc/passwd
kill -s 99 r1
kill -s SIGFOO r1
kill nosuch
pause nosuch
unpause r1
wait nosuch
rename r1 ""
rename r1 "bad name"
update --memory 1 r1
update --cpus 99 r1
update --restart sometimes r1
rm r1
rm -l r1
stop -t 0 r1
rm -f r1 x1 stop99
rm -f nosuch
container prune -f --filter until=x
container prune -f --filter nosuch=x
image prune -f --filter until=x
`;

const test = suite('side by side with Docker 28');
let engine: Engine;
let host: Host;
let shimSocket: string;

test.before(async () => {
  engine = await startEngine({ version: '28' });
  host = await createHost({ name: 'beside' });
  await Promise.all((['networkd', 'volumed'] as const).map((name) => startDaemon(name, host, { logLevel: 'info' })));
  // In the folder that both hosts see.
  shimSocket = `unix://${join(engine.host.dir, 'shim.sock')}`;
  await startDaemon('shim', host, { args: ['--cgroup-parent', cgroupParent(host.dir), '-H', shimSocket] });
  const archive = join(engine.host.dir, 'busybox.tar');
  await engine.docker('save', '-o', archive, 'busybox');
  const loaded = await run(shimSocket, ['load', '-i', archive]);
  assert.equal(loaded.code, 0, loaded.stderr);
  await eventually(
    'the default network',
    async () => (await run(shimSocket, ['network', 'inspect', 'bridge'])).code === 0,
  );
});
test.after(async () => {
  await engine?.close();
  await host?.close();
});

test('the same exit code, output and messages', async () => {
  const problems: string[] = [];
  for (const line of commands.split('\n').filter((text) => text !== '' && !text.startsWith('#'))) {
    const args = splitWords(line);
    const [theirs, ours] = await Promise.all([run(undefined, args), run(shimSocket, args)]);
    const [expected, found] = [normalize(theirs), normalize(ours)];
    if (JSON.stringify(expected) !== JSON.stringify(found))
      problems.push(`docker ${line}\n  engine ${JSON.stringify(expected)}\n  shim   ${JSON.stringify(found)}`);
  }
  assert.equal(problems.length, 0, `\n${problems.join('\n')}`);
});

async function run(server: string | undefined, args: readonly string[]): Promise<CliResult> {
  try {
    const env = server === undefined ? {} : { DOCKER_HOST: server };
    const { stdout, stderr } = await engine.dockerWith({ env }, ...args);
    return { code: 0, stdout, stderr };
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === null) throw error;
    return { code: error.exitCode, stdout: error.stdout, stderr: error.stderr };
  }
}

/** Words as a shell splits them: double quotes keep blanks, a backslash keeps a quote. */
function splitWords(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, plain]) => plain ?? (quoted ?? '').replaceAll('\\"', '"'),
  );
}

/** Ids, times and process numbers differ by nature. */
function normalize({ code, stdout, stderr }: CliResult): CliResult {
  const clean = (text: string) =>
    text
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'ID')
      .replaceAll(/\b[0-9a-f]{12}\b/g, 'SHORT')
      .replaceAll(/(sleep +)[0-9]+/g, '$1PID')
      .replaceAll(/ {2,}/g, ' ')
      .trim();
  return { code, stdout: clean(stdout), stderr: clean(stderr) };
}

test.run();
