/**
 * What was typed while the traffic of test/captures was recorded. A step is named as in the recording; without `type` its name
 * is the command. Commands that the recording does not name are here because the calls say so.
 */
import type { Daemon } from './daemon.ts';
import type { CliResult } from './shim.ts';

export interface Stage {
  /** The docker command; its exit code is not looked at: refusals are part of the scenarios. */
  docker(...args: readonly string[]): Promise<CliResult>;
  readonly engine: Daemon;
  /** The next starts of the engine are with live restore, or without. */
  liveRestore(on: boolean): void;
  /** The plugin is not there any more, until it is shown again. */
  hide(plugin: string): Promise<void>;
  /** At a socket of the host; default `/run/docker/plugins/NAME.sock`. */
  show(plugin: string, socket?: string): Promise<void>;
  /** A file of the host. */
  write(path: string, text: string): void;
  /** Ends what runs that program with these arguments, as a power cut would. */
  endProcesses(...commandLine: readonly string[]): Promise<void>;
  /** Something that runs in the host until it ends. */
  start(program: string, ...args: readonly string[]): void;
}

export interface Step {
  readonly during: string;
  readonly type?: (stage: Stage) => Promise<unknown>;
  /** Calls about several objects at once: their order holds for each object alone. */
  readonly parallel?: boolean;
}

export interface Scenario {
  readonly name: string;
  /** Names of the plugins in it. */
  readonly plugins: readonly string[];
  /** Sockets of those that are not at the usual place. */
  readonly sockets?: Readonly<Record<string, string>>;
  /** Goes on with what the one before it has made. */
  readonly continues?: boolean;
  /** Steps of other recordings whose answers are those to `before`. */
  readonly prepared?: readonly string[];
  /** Typed before the recording begins. */
  readonly before?: (stage: Stage) => Promise<unknown>;
  readonly steps: readonly Step[];
}

const image = 'busybox:test';
const step = (during: string, type?: Step['type'], parallel = false): Step => ({
  during,
  ...(type === undefined ? {} : { type }),
  ...(parallel ? { parallel } : {}),
});
const sleep = [image, 'sleep', '1000'];
const sh = (script: string): string[] => [image, 'sh', '-c', script];
const dates = sh('while :; do date; sleep 5; done');

const inTurn =
  (...commands: readonly (readonly string[])[]): Step['type'] =>
  async ({ docker }) => {
    for (const command of commands) await docker(...command);
  };

const startAndRestart = async ({ engine }: Stage, end: 'stop' | 'kill'): Promise<void> => {
  await engine[end]();
  await engine.start();
};

export const scenarios: readonly Scenario[] = [
  {
    name: 'network-basic',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --label l=1 --opt x=y n1'),
      step(
        'docker run -d --name c1 --network n1 -p 18080:80 -p 18081:81/udp --expose 99 --hostname hh busybox:test sleep',
        inTurn([
          'run',
          '-d',
          '--name',
          'c1',
          '--network',
          'n1',
          '-p',
          '18080:80',
          '-p',
          '18081:81/udp',
          '--expose',
          '99',
          '--hostname',
          'hh',
          '--stop-timeout',
          '0',
          ...sleep,
        ]),
      ),
      step('docker stop c1'),
      step('docker start c1'),
      step('docker kill c1'),
      step('docker start c1'),
      step('docker restart c1'),
      step('docker network disconnect n1 c1'),
      step(
        'docker network connect n1 c1 --ip none',
        inTurn(['network', 'connect', '--driver-opt', 'do1=v1', 'n1', 'c1']),
      ),
      step('docker rm -f c1'),
      step('docker run --rm --network n1 true', inTurn(['run', '--rm', '--network', 'n1', image, 'true'])),
      step(
        'docker run exiting by itself, kept',
        inTurn(['run', '--name', 'kept', '--network', 'n1', image, 'true'], ['rm', 'kept']),
      ),
      step('docker network rm n1'),
    ],
  },
  {
    name: 'network-create-options',
    plugins: ['netp'],
    before: ({ docker }) => docker('network', 'ls'),
    steps: [
      step(
        'docker network create -d netp --subnet 10.77.0.0/16 --gateway 10.77.0.254 --ip-range 10.77.5.0/24 --aux-address host1=10.77.5.9 --aux-address DefaultGatewayIPv4=10.77.0.253 --opt com.docker.network.driver.mtu=1400 --opt flag --label lab=val a1',
      ),
      step('docker network create -d netp --internal --attachable a2'),
      step(
        'docker network create -d netp --ipv6 --subnet fd12:3456::/64 --gateway fd12:3456::99 --subnet 10.78.0.0/24 a3',
      ),
      step('docker network create -d netp --subnet 10.79.0.0/24 --subnet 10.80.0.0/24 a4'),
      // Docker's own IPAM takes every option; cleat-ipam refuses what it does not know.
      step('docker network create -d netp --ipam-opt k=v a5', inTurn(['network', 'create', '-d', 'netp', 'a5'])),
      step('docker network create -d netp --ipv6 a6'),
      step('docker network create -d netp --ipv4=false --ipv6 --subnet fd12:3457::/64 a7'),
      step('docker network rm a1 a2 a3 a4 a5 a6 a7 a10'),
    ],
  },
  {
    name: 'network-endpoint-options',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --subnet 10.60.0.0/24 e1'),
      step('docker network create -d netp --subnet 10.61.0.0/24 e2'),
      step(
        'docker run -d --name t1 --network name=e1,ip=10.60.0.77,mac-address=02:42:aa:bb:cc:dd,alias=al1,alias=al2,driver-opt=foo=bar,driver-opt=com.docker.network.endpoint.ifname=foo0,link-local-ip=169.254.3.3 --network name=e2,gw-priority=10 -p 127.0.0.1:9000-9001:80-81 -p 9100-9110:82 -p 83 --sysctl net.ipv4.conf.all.arp_notify=1 busybox:test sleep 1000',
      ),
      step('docker rm -f t1'),
      step('docker network rm e1 e2 dummy'),
    ],
  },
  {
    name: 'network-join-variants',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --subnet 10.60.0.0/24 j'),
      step('docker run -d --name t1 --network j -p 8085:80 busybox:test sleep 1000'),
      step('docker rm -f t1'),
      step('docker run -d --name t1 --network j -p 8085:80 busybox:test sleep 1000'),
      step('docker rm -f t1'),
      step(
        'docker run -d --name t1 --network j busybox:test sleep 1000',
        inTurn(
          ['run', '-d', '--name', 't1', '--network', 'j', ...sleep],
          ['rm', '-f', 't1'],
          ['run', '-d', '--name', 't1', '--network', 'j', ...sleep],
        ),
      ),
      step('docker rm -f t1'),
      step('docker network rm j'),
    ],
  },
  {
    name: 'network-more',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --internal --subnet 10.63.0.0/24 int1'),
      step('docker run -d --name i1 --network int1 -p 8077:80 busybox:test sleep 1000'),
      step('docker run -d --name i2 --network int1 --network-alias svcx busybox:test sleep 1000'),
      step('docker rm -f i1 i2', undefined, true),
      step('docker network create -d netp --subnet 10.64.0.0/24 pm1'),
      step('docker run -d --name p1 --network pm1 -p 8077:80 busybox:test sleep 1000'),
      step('docker rm -f p1'),
      step('docker network create -d netp --subnet 10.65.0.0/24 ga'),
      step('docker network create -d netp --subnet 10.66.0.0/24 gb'),
      step('docker run -d --name gg --network ga busybox:test sleep 1000'),
      step('docker network connect gb gg'),
      step('docker network disconnect ga gg'),
      step('docker rm -f h1 gg'),
      step('docker network prune -f', undefined, true),
      step(
        'docker network create -d netp --subnet 10.67.0.0/24 cc',
        async ({ docker }) => {
          await docker('network', 'create', '-d', 'netp', '--subnet', '10.67.0.0/24', 'cc');
          await Promise.all(
            ['cc1', 'cc2', 'cc3'].map((name) => docker('run', '-d', '--name', name, '--network', 'cc', ...sleep)),
          );
        },
        true,
      ),
      step('docker rm -f cc1 cc2 cc3', undefined, true),
      step('docker network rm cc'),
    ],
  },
  {
    name: 'errors-network',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --subnet 10.60.0.0/24 z', async ({ docker }) => {
        for (let count = 0; count < 12; count += 1) {
          await docker('network', 'create', '-d', 'netp', '--subnet', '10.60.0.0/24', 'z');
          await docker('network', 'rm', 'z');
        }
      }),
    ],
  },
  {
    name: 'scope-global',
    plugins: ['netg'],
    steps: [
      step('docker network create -d netg --subnet 10.90.0.0/24 s1'),
      step('docker run --rm --network s1 busybox:test true'),
      step('docker network rm s1'),
    ],
  },
  {
    name: 'plugin-restart',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --subnet 10.60.0.0/24 z'),
      step('docker run -d --name t1 --network z busybox:test sleep 1000'),
      step('docker stop -t 0 t1', async ({ docker, hide, show }) => {
        await hide('netp');
        await show('netp');
        await docker('stop', '-t', '0', 't1');
      }),
      step('docker start t1'),
    ],
  },
  {
    name: 'ipam',
    plugins: ['netp'],
    steps: [
      step('docker network create -d netp --ipam-driver netp i1'),
      step(
        'docker network create -d netp --ipam-driver netp --subnet 10.101.0.0/16 --ip-range 10.101.5.0/24 --gateway 10.101.0.254 --aux-address host1=10.101.5.9 --ipam-opt k1=v1 i2',
      ),
      step('docker network create -d netp --ipam-driver netp --ipv6 --subnet fd33::/64 i3'),
      step('docker network create -d bridge --ipam-driver netp i4'),
      step('docker run -d --name b1 --network i1 busybox:test sleep 1000'),
      step('docker run -d --name b2 --network i2 --ip 10.101.7.7 busybox:test sleep 1000'),
      step('docker run -d --name b3 --network i3 --mac-address 02:42:00:00:00:77 busybox:test sleep 1000'),
      step('docker run -d --name b4 --network i4 busybox:test sleep 1000'),
      step('docker rm -f b1'),
      step('docker rm -f b2'),
      step('docker rm -f b3'),
      step('docker rm -f b4'),
      step('docker network rm i1 i2 i3 i4'),
    ],
  },
  {
    name: 'ipam-capabilities',
    plugins: ['ipmac'],
    steps: [
      step('docker network create -d ipmac --ipam-driver ipmac -o a=b g1'),
      step('docker network create -d ipmac --ipam-driver ipmac --subnet 10.71.0.0/24 --gateway 10.71.0.9 g2'),
      step('(engine restarted with RequiresRequestReplay true)', (stage) => startAndRestart(stage, 'stop'), true),
      step('docker network rm g2'),
      step('docker network create -d ipmac --ipam-driver ipmac --subnet 10.72.0.0/24 g3'),
      step('docker network rm g3'),
      step(
        'docker network create -d ipmac --ipam-driver ipmac --subnet 10.72.0.0/24 g4',
        inTurn(
          ...Array.from({ length: 5 }, () => [
            'network',
            'create',
            '-d',
            'ipmac',
            '--ipam-driver',
            'ipmac',
            '--subnet',
            '10.72.0.0/24',
            'g4',
          ]),
        ),
      ),
    ],
  },
  {
    name: 'ipam-replay-mac',
    plugins: ['ipmac'],
    before: async ({ liveRestore, engine }) => {
      liveRestore(false);
      await engine.stop();
      await engine.start();
    },
    steps: [
      step('docker network create -d ipmac --ipam-driver ipmac -o a=b g1'),
      step('docker run -d --name g1c --network g1 busybox:test sleep 1000'),
      step(
        'docker network create -d ipmac --ipam-driver ipmac --subnet 10.71.0.0/24 --gateway 10.71.0.9 --aux-address x=10.71.0.7 g2',
      ),
      step(
        '(engine restarted with RequiresRequestReplay true (no live-restore))',
        (stage) => startAndRestart(stage, 'stop'),
        true,
      ),
      step('docker start g1c'),
      step(
        '(engine restarted with RequiresRequestReplay true (live-restore))',
        async (stage) => {
          await stage.engine.stop();
          stage.liveRestore(true);
          await stage.engine.start();
        },
        true,
      ),
      step(
        'docker start g1c',
        async (stage) => {
          await stage.docker('start', 'g1c');
          await startAndRestart(stage, 'stop');
        },
        true,
      ),
      step('docker network rm g2'),
      step('docker rm -f g1c'),
      step('docker network rm g1'),
      step(
        'docker network create -d ipmac --ipam-driver ipmac --subnet 10.73.0.0/24 g5',
        inTurn(
          ...Array.from({ length: 2 }, () => [
            'network',
            'create',
            '-d',
            'ipmac',
            '--ipam-driver',
            'ipmac',
            '--subnet',
            '10.73.0.0/24',
            'g5',
          ]),
        ),
      ),
      step(
        'docker run --rm --name g5c --network g5 busybox:test true',
        inTurn(...Array.from({ length: 6 }, () => ['run', '--rm', '--name', 'g5c', '--network', 'g5', image, 'true'])),
      ),
      step('docker network rm g5'),
    ],
  },
  {
    name: 'volume-lifecycle',
    plugins: ['volp'],
    steps: [
      step('docker volume create -d volp -o size=1g -o flag --label lab=1 v1'),
      step('docker volume create -d volp'),
      step('docker volume inspect v1'),
      step('docker volume ls'),
      step('docker volume ls -f driver=volp'),
      step('docker volume create -d volp -o size=2g v1'),
      step('docker volume create -d local v1'),
      step('docker volume create v1'),
      step(
        'docker run --rm -v v1:/data busybox:test sh -c echo hi > /data/f; mount | grep /data',
        inTurn(['run', '--rm', '-v', 'v1:/data', ...sh('echo hi > /data/f; mount | grep /data')]),
      ),
      step('docker run -d --name m1 -v v1:/data busybox:test sleep 1000'),
      step('docker run -d --name m2 -v v1:/data:ro busybox:test sleep 1000'),
      step('docker volume inspect v1'),
      step('docker volume rm v1'),
      step('docker volume rm -f v1'),
      step('docker restart -t 0 m1'),
      step('docker stop -t 0 m1'),
      step('docker cp m1:/data/f ./copied-file', inTurn(['cp', 'm1:/data/f', '/run/copied-file'])),
      step('docker cp ./copied-file m2:/data/f2', inTurn(['cp', '/run/copied-file', 'm2:/data/f2'])),
      step('docker start m1'),
      step('docker rm -f m1'),
      step('docker rm -f m2'),
      step(
        'docker run --rm --mount type=volume,source=v2,target=/d,volume-driver=volp,volume-opt=a=b,volume-opt=c=d,volume-label=x=y busybox:test touch /d/x',
      ),
      step('docker run --rm --volume-driver volp -v v3:/d -v /anon busybox:test touch /d/x'),
      step(
        'docker run --rm --mount type=volume,source=v1,target=/d,volume-driver=volp,volume-nocopy,readonly busybox:test ls /d',
      ),
      step('docker run --rm --mount type=volume,source=v2,target=/d,volume-subpath=x busybox:test ls -l /d'),
      step('docker run --rm -v v1:/etc busybox:test ls /etc'),
      step('docker create --name cr -v v1:/data busybox:test true'),
      step('docker volume ls', inTurn(['rm', 'cr'], ['volume', 'ls'])),
      step('docker volume rm v1 v2 v3'),
      step('docker volume ls'),
    ],
  },
  {
    name: 'log-lifecycle',
    plugins: ['logp'],
    steps: [
      step(
        'docker run -d --name l1 --log-driver logp --log-opt foo=bar --log-opt tag=x --log-opt labels=lab --log-opt env=EV --label lab=val -e EV=ev1 busybox:test sh -c echo out1; echo err1 >&2; printf "no newline"; sleep 2; echo late; sleep 1000',
        inTurn([
          'run',
          '-d',
          '--name',
          'l1',
          '--log-driver',
          'logp',
          '--log-opt',
          'foo=bar',
          '--log-opt',
          'tag=x',
          '--log-opt',
          'labels=lab',
          '--log-opt',
          'env=EV',
          '--label',
          'lab=val',
          '-e',
          'EV=ev1',
          ...sh('echo out1; echo err1 >&2; printf "no newline"; sleep 2; echo late; sleep 1000'),
        ]),
      ),
      step('docker logs l1'),
      step('docker logs -t --tail 1 l1'),
      step('docker logs --details --since 2026-01-01T00:00:00Z --until 2030-01-01T00:00:00Z l1'),
      step('docker logs --since 10m --tail 0 l1'),
      step(
        'docker logs --tail all --until 0s l1',
        inTurn(['logs', '--tail', 'all', '--until', '0s', 'l1'], ['logs', '-f', 'l1']),
      ),
      step('(follow while stopping)', inTurn(['logs', '-f', '--tail', '1', 'l1'])),
      step('docker stop -t 0 l1'),
      step('docker logs l1'),
      step('docker start l1'),
      step('docker restart -t 0 l1'),
      step('docker rm -f l1'),
      step(
        'docker run --rm --name l2 --log-driver logp busybox:test sh -c head -c 40000 /dev/zero | tr "\\000" a; echo; echo short; head -c 17000 /dev/zero | tr "\\000" b; echo; printf ""; echo; printf "tail-without-newline"',
        inTurn([
          'run',
          '--rm',
          '--name',
          'l2',
          '--log-driver',
          'logp',
          ...sh(
            'head -c 40000 /dev/zero | tr "\\000" a; echo; echo short; head -c 17000 /dev/zero | tr "\\000" b; echo; printf ""; echo; printf "tail-without-newline"',
          ),
        ]),
      ),
      step('docker run --rm --name l3 -t --log-driver logp busybox:test echo tty'),
      step(
        'docker run --rm --name l4 --log-driver logp --log-opt mode=non-blocking --log-opt max-buffer-size=1m busybox:test echo nb',
      ),
      step('docker run --rm --name l5 --log-driver logp --log-opt cache-disabled=true busybox:test echo nocache'),
    ],
  },
  {
    name: 'log-failures',
    plugins: ['logp'],
    steps: [
      step(
        'docker run --name f1 --log-driver logp busybox:test sh -c echo one; echo two >&2',
        inTurn(['run', '--name', 'f1', '--log-driver', 'logp', ...sh('echo one; echo two >&2')]),
      ),
      step('docker logs -t f1'),
      step(
        'docker run --name f1 --log-driver logp --log-opt cache-disabled=true busybox:test sh -c echo one',
        inTurn(
          ['rm', 'f1'],
          ['run', '--name', 'f1', '--log-driver', 'logp', '--log-opt', 'cache-disabled=true', ...sh('echo one')],
        ),
      ),
      step('docker logs f1'),
      step(
        'docker run --rm --name f2 --log-driver logp busybox:test echo x',
        inTurn(
          ...Array.from({ length: 2 }, () => [
            'run',
            '--rm',
            '--name',
            'f2',
            '--log-driver',
            'logp',
            image,
            'echo',
            'x',
          ]),
        ),
      ),
      step('docker run --rm --name f3 --log-driver logp busybox:test echo x'),
      step(
        'docker run -d --name f4 --log-driver logp busybox:test sh -c i=0; while :; do i=$((i+1)); echo line $i; sleep .1; done',
        inTurn([
          'run',
          '-d',
          '--name',
          'f4',
          '--log-driver',
          'logp',
          ...sh('i=0; while :; do i=$((i+1)); echo line $i; sleep .1; done'),
        ]),
      ),
      step('docker stop -t 0 f4'),
    ],
  },
  {
    name: 'engine-restart',
    plugins: ['netp', 'volp', 'logp'],
    before: async ({ liveRestore, engine, docker }) => {
      liveRestore(false);
      await engine.stop();
      await engine.start();
      // Plugins that were used before the recording began.
      await docker('network', 'create', '-d', 'netp', '--ipam-driver', 'netp', '--subnet', '10.9.0.0/24', 'used');
      await docker('network', 'rm', 'used');
      await docker('volume', 'create', '-d', 'volp', 'used');
      await docker('volume', 'rm', '-f', 'used');
      await docker('run', '--rm', '--network', 'none', '--log-driver', 'logp', image, 'true');
    },
    steps: [
      step('docker network create -d netp --ipam-driver netp --subnet 10.60.0.0/24 z'),
      step('docker volume create -d volp ev'),
      step(
        'docker run -d --name r1 --restart always --network z -v ev:/d --log-driver logp busybox:test sh -c while :; do date; sleep 5; done',
        inTurn([
          'run',
          '-d',
          '--name',
          'r1',
          '--restart',
          'always',
          '--network',
          'z',
          '-v',
          'ev:/d',
          '--log-driver',
          'logp',
          ...dates,
        ]),
      ),
      step(
        'docker run -d --name r2 --network z -v ev:/d --log-driver logp busybox:test sh -c while :; do date; sleep 5; done',
        inTurn(['run', '-d', '--name', 'r2', '--network', 'z', '-v', 'ev:/d', '--log-driver', 'logp', ...dates]),
      ),
      step('docker create --name r3 --network z -v ev:/d --log-driver logp busybox:test true'),
      step('(engine stopped (SIGTERM, no live-restore))', ({ engine }) => engine.stop(), true),
      step('(engine started)', ({ engine }) => engine.start(), true),
      step('(engine killed (SIGKILL, no live-restore))', ({ engine }) => engine.kill(), true),
      step('(engine started after SIGKILL)', ({ engine }) => engine.start(), true),
      step('docker rm -f r1 r2 r3', undefined, true),
    ],
  },
  {
    name: 'engine-live-restore',
    plugins: ['netp', 'volp', 'logp'],
    continues: true,
    steps: [
      step(
        '(engine restarted with live-restore enabled)',
        async ({ engine, liveRestore }) => {
          await engine.stop();
          liveRestore(true);
          await engine.start();
        },
        true,
      ),
      step(
        'docker run -d --name r1 --restart always --network z -p 8099:80 -v ev:/d --log-driver logp busybox:test sh -c while :; do date; sleep 5; done',
        inTurn([
          'run',
          '-d',
          '--name',
          'r1',
          '--restart',
          'always',
          '--network',
          'z',
          '-p',
          '8099:80',
          '-v',
          'ev:/d',
          '--log-driver',
          'logp',
          ...dates,
        ]),
      ),
      step(
        'docker run -d --name r2 --network z -v ev:/d --log-driver logp busybox:test sh -c while :; do date; sleep 5; done',
        inTurn(['run', '-d', '--name', 'r2', '--network', 'z', '-v', 'ev:/d', '--log-driver', 'logp', ...dates]),
      ),
      step('(engine stopped (SIGTERM, live-restore))', ({ engine }) => engine.stop(), true),
      step('(engine started (live-restore))', ({ engine }) => engine.start(), true),
      step('docker stop -t 0 r2'),
      step('docker start r2'),
      step('(engine killed (SIGKILL, live-restore))', ({ engine }) => engine.kill(), true),
      step('(engine started after SIGKILL (live-restore))', ({ engine }) => engine.start(), true),
      step('docker cp r2:/etc/hostname ./copied-file', inTurn(['cp', 'r2:/etc/hostname', '/run/copied-file'])),
      step('docker rm -f r1 r2', undefined, true),
    ],
  },
  {
    name: 'engine-start-plugin-down',
    plugins: ['netp', 'volp'],
    prepared: [
      'docker network create -d netp --ipam-driver netp --subnet 10.60.0.0/24 z',
      'docker volume create -d volp ev',
    ],
    before: async ({ liveRestore, engine, docker }) => {
      liveRestore(false);
      await engine.stop();
      await engine.start();
      await docker('network', 'create', '-d', 'netp', '--ipam-driver', 'netp', '--subnet', '10.60.0.0/24', 'z');
      await docker('volume', 'create', '-d', 'volp', 'ev');
      await docker('create', '--name', 'r2', '--network', 'z', ...sleep);
    },
    steps: [
      step('docker run -d --name r1 --restart always --network z -v ev:/d busybox:test sleep 1000'),
      step('docker start r2', async ({ docker, engine, hide, show, endProcesses }) => {
        for (const plugin of ['netp', 'volp']) await hide(plugin);
        await engine.kill();
        await endProcesses('sleep', '1000');
        await engine.start();
        for (const plugin of ['netp', 'volp']) await show(plugin);
        await docker('start', 'r2');
      }),
      step('docker start r1'),
      step('docker rm -f r1 r2', undefined, true),
      step('docker network rm z'),
      step('docker volume rm ev'),
    ],
  },
  {
    name: 'discovery',
    plugins: ['dsub', 'dspec', 'djson', 'dboth', 'dbad'],
    sockets: {
      dsub: '/run/docker/plugins/dsub/dsub.sock',
      dspec: '/run/elsewhere/dspec.sock',
      djson: '/run/elsewhere/djson.sock',
    },
    before: async ({ write, start }) => {
      const folder = '/etc/docker/plugins';
      const nowhere = 'unix:///run/elsewhere/nowhere.sock';
      const json = (address: string) => JSON.stringify({ Name: 'ignored', Addr: address });
      write(`${folder}/dspec.spec`, 'unix:///run/elsewhere/dspec.sock\n');
      write(`${folder}/djson.json`, json('unix:///run/elsewhere/djson.sock'));
      write(`${folder}/dboth.spec`, nowhere);
      write(`${folder}/dord.spec`, 'unix:///run/elsewhere/djson.sock');
      write(`${folder}/dord.json`, json(nowhere));
      write(`${folder}/dtcp.spec`, 'tcp://127.0.0.1:7777');
      write(`${folder}/dhttp.spec`, 'http://127.0.0.1:7777');
      start('socat', 'TCP-LISTEN:7777,bind=127.0.0.1,fork,reuseaddr', 'UNIX-CONNECT:/run/elsewhere/djson.sock');
    },
    // The recording's last command asked those that were left then; which these were is not in it.
    steps: [
      ...['dsub', 'dspec', 'djson', 'dboth', 'dord', 'dtcp', 'dhttp'].map((name) =>
        step(`docker volume create -d ${name} vv-${name}`),
      ),
      step('docker volume create -d dbad vv2'),
      step(
        '(concurrency: 6 volume creates at once with 1s Create delay)',
        ({ docker }) =>
          Promise.all([1, 2, 3, 4, 5, 6].map((number) => docker('volume', 'create', '-d', 'dspec', `par${number}`))),
        true,
      ),
      step(
        '(concurrency on one name)',
        ({ docker }) => Promise.all([1, 2, 3].map(() => docker('volume', 'create', '-d', 'dspec', 'same'))),
        true,
      ),
    ],
  },
];
