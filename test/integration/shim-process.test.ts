/** The process cleat-shim: starts, refuses, reloads, stops; its sockets and what they let in. */
import * as assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import { CommandError } from '../../plugins/linux/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { callApi } from '../support/engine-api.ts';
import { createHost, type Host } from '../support/host.ts';
import { busyboxLayer, dockerArchive } from '../support/image-archive.ts';
import { requires } from '../support/requires.ts';

requires('root', 'overlayfs', 'program:conmon', 'program:openssl');

const test = suite('cleat-shim');
let host: Host;

test.before.each(async () => {
  host = await createHost({ name: 'shim' });
});

test.after.each(async () => {
  await host.close();
});

const api = (method: string, path: string, body?: Readonly<Record<string, unknown>>) =>
  callApi(host.path('/run/cleat/docker.sock'), method, path, body);

async function infoField(name: string): Promise<unknown> {
  return ((await api('GET', '/info')).body as Record<string, unknown>)[name];
}

/** A busybox that sleeps, without network and log. Its id. */
async function runSleeper(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const file = join(host.dir, 'busybox.tar');
  writeFileSync(file, dockerArchive({ tag: 'busybox:latest', layers: [busyboxLayer()] }));
  await callApi(host.path('/run/cleat/docker.sock'), 'POST', '/images/load', { file });
  const created = await api('POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: ['/bin/busybox', 'sleep', '1000'],
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none' }, ...more },
  });
  assert.equal(created.status, 201, JSON.stringify(created.body));
  const started = await api('POST', `/containers/${name}/start`);
  assert.equal(started.status, 204, JSON.stringify(started.body));
}

async function stateOf(name: string): Promise<{ Status: string; Pid: number }> {
  return ((await api('GET', `/containers/${name}/json`)).body as { State: { Status: string; Pid: number } }).State;
}

test('sockets appear when it answers and go when it ends', async () => {
  const shim = await startDaemon('shim', host, { args: ['--pidfile', '/run/shim.pid', '--group', '12345'] });
  const socket = statSync(host.path('/run/cleat/docker.sock'));
  assert.equal(socket.mode & 0o777, 0o660);
  assert.equal(socket.gid, 12345);
  assert.equal(statSync(host.path('/run/cleat/shim.sock')).mode & 0o777, 0o600);
  assert.match(readFileSync(host.path('/run/shim.pid'), 'utf8'), /^\d+\n$/);
  assert.match(await shim.cleat('status'), /^containers \(0\)/);
  assert.equal((await shim.stop()).code, 0);
  for (const path of ['/run/cleat/docker.sock', '/run/cleat/shim.sock', '/run/shim.pid']) {
    assert.equal(existsSync(host.path(path)), false, path);
  }
});

test('one at a time', async () => {
  await startDaemon('shim', host);
  await assert.rejects(startDaemon('shim', host), /already running: another daemon answers on .*shim\.sock/);
  // Another run folder, the same data.
  await assert.rejects(
    startDaemon('shim', host, { args: ['--run-dir', '/run/other'] }),
    /STORE_LOCKED|another process/,
  );
  assert.equal((await api('GET', '/_ping')).status, 200);
});

test('a wrong configuration is named, with exit code 2 for wrong use', async () => {
  const bin = new URL('../../bin/cleat-shim', import.meta.url).pathname;
  const run = async (...args: string[]) => {
    try {
      const { stdout, stderr } = await host.run(bin, args);
      return { code: 0, text: stdout + stderr };
    } catch (error) {
      assert.ok(error instanceof CommandError);
      return { code: error.exitCode, text: error.stderr };
    }
  };
  assert.equal((await run('--nonsense')).code, 2);
  assert.match((await run('--nonsense')).text, /unknown flag: --nonsense\nSee 'cleat-shim --help'\.\n/);
  assert.match((await run('--userns-remap', 'x')).text, /user namespaces are not supported/);
  assert.equal((await run('--validate', '--config-file', '/nowhere.json')).code, 1);
  assert.match((await run('--help')).text, /--default-address-pool/);
  assert.match((await run('--version')).text, /^cleat-shim version \d/);
  assert.match((await run('--default-runtime', 'nosuch')).text, /specified default runtime 'nosuch' does not exist/);
});

test('SIGHUP takes over what may change, and a broken file changes nothing', async () => {
  const shim = await startDaemon('shim', host, {
    config: { debug: false, labels: ['a=b'] },
    args: ['--log-level', 'info'],
  });
  const file = join(host.dir, 'shim.json');
  writeFileSync(file, JSON.stringify({ debug: true, labels: ['a=c'], 'log-driver': 'other' }));
  await shim.signal('SIGHUP');
  await eventually('the labels are new', async () => JSON.stringify(await infoField('Labels')) === '["a=c"]');
  assert.equal(await infoField('Debug'), true);
  assert.equal(await infoField('LoggingDriver'), 'cleat-json-file');
  writeFileSync(file, '{"labels": ["x=y"], "nonsense": 1}');
  await shim.signal('SIGHUP');
  await eventually('the refusal is logged', () =>
    shim.log().includes("don't match any configuration option: nonsense"),
  );
  assert.deepEqual(await infoField('Labels'), ['a=c']);
});

test('containers go on while the shim does not, and it finds them again', async () => {
  const shim = await startDaemon('shim', host);
  await runSleeper('kept');
  const { Pid } = await stateOf('kept');
  for (const end of ['stop', 'kill'] as const) {
    await shim[end]();
    await host.run('kill', ['-0', String(Pid)]);
    await shim.start();
    assert.deepEqual(await stateOf('kept').then(({ Status, Pid: pid }) => [Status, pid]), ['running', Pid], end);
  }
  assert.equal((await api('DELETE', '/containers/kept?force=1')).status, 204);
});

test('a running request is finished, a stream of events ends', async () => {
  const shim = await startDaemon('shim', host);
  await runSleeper('slow');
  const events = openEvents();
  await eventually('somebody listens', async () => (await infoField('NEventsListener')) === 1);
  // The first process of a container gets no SIGTERM unless it asks for it: this takes its second.
  const stopping = api('POST', '/containers/slow/stop?t=1');
  await eventually('it was asked to end', () => events.text().includes('"Action":"kill"'));
  assert.equal((await shim.stop()).code, 0);
  assert.equal((await stopping).status, 204);
  await events.ended;
});

/** A client of /events. */
function openEvents(): { text(): string; readonly ended: Promise<void> } {
  let text = '';
  const ended = new Promise<void>((resolve, reject) => {
    const call = request({ socketPath: host.path('/run/cleat/docker.sock'), path: '/events' }, (response) => {
      response.on('data', (chunk: Buffer) => {
        text += String(chunk);
      });
      response.on('end', resolve);
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
  return { text: () => text, ended };
}

test('without live-restore they stop with it, and come back by their policy', async () => {
  const shim = await startDaemon('shim', host, {
    args: ['--live-restore=false', '--shutdown-timeout=0'],
  });
  await runSleeper('always', { RestartPolicy: { Name: 'always' } });
  const { Pid } = await stateOf('always');
  await shim.stop();
  await assert.rejects(host.run('kill', ['-0', String(Pid)]));
  await shim.start();
  await eventually('it runs again', async () => (await stateOf('always')).Status === 'running');
  assert.notEqual((await stateOf('always')).Pid, Pid);
  await api('DELETE', '/containers/always?force=1');
});

test('TLS lets in who has a certificate', async () => {
  await host.sh(`cd ${host.dir}
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null
    for n in server client; do
      openssl req -newkey rsa:2048 -nodes -keyout $n.key -out $n.csr -subj /CN=$n 2>/dev/null
      openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $n.pem -days 2 \\
        -extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null
    done`);
  const file = (name: string) => join(host.dir, name);
  await startDaemon('shim', host, {
    args: [
      ...['-H', 'unix:///run/cleat/docker.sock', '-H', 'tcp://127.0.0.1:2376', '--tlsverify'],
      ...['--tlscacert', file('ca.pem'), '--tlscert', file('server.pem'), '--tlskey', file('server.key')],
    ],
  });
  const curl = (...args: string[]) =>
    host.run('curl', ['-s', '-S', '--cacert', file('ca.pem'), ...args, 'https://127.0.0.1:2376/_ping']);
  const { stdout } = await curl('--cert', file('client.pem'), '--key', file('client.key'));
  assert.equal(stdout, 'OK');
  await assert.rejects(curl());
});

test.run();
