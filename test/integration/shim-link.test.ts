/** `--link` with traffic between containers off: the exposed ports are open to the container that links, and to nobody else. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { callApi } from '../support/engine-api.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { importBusybox } from '../support/shim.ts';

requires('root', 'overlayfs', 'bridge', 'nftables', 'program:conmon');

let host: Host;
let networkd: Daemon;

async function ok(method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<unknown> {
  const reply = await callApi(host.path('/run/cleat/docker.sock'), method, path, body);
  assert.ok(reply.status < 300, `${method} ${path}: ${JSON.stringify(reply)}`);
  return reply.body;
}

async function run(name: string, script: string, more: object = {}, links: readonly string[] = []): Promise<string> {
  const { Id: id } = (await ok('POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: ['sh', '-c', script],
    ...more,
    HostConfig: { Links: links },
  })) as { Id: string };
  await ok('POST', `/containers/${id}/start`);
  return id;
}

/** Whether the container's process reaches the port within a second. */
async function reaches(id: string, address: string, port: number): Promise<boolean> {
  const { State } = (await ok('GET', `/containers/${id}/json`)) as { State: { Pid: number } };
  const command = `nsenter -t ${State.Pid} -n timeout 1 bash -c '</dev/tcp/${address}/${port}'`;
  return (await host.sh(`set +e; ${command} 2>/dev/null && echo yes || echo no`)) === 'yes';
}

test.before(async () => {
  host = await createHost({ name: 'link' });
  networkd = await startDaemon('networkd', host);
  await startDaemon('shim', host, {
    args: ['--icc=false', '--log-driver', 'none', '--bip', '192.0.2.1/24'],
  });
  await importBusybox(host);
  await eventually('the default network is there', async () => {
    const { status } = await callApi(host.path('/run/cleat/docker.sock'), 'GET', '/networks/bridge');
    return status === 200;
  });
});
test.after(() => host?.close());

test('exposed ports are open between the two alone, also after the driver was killed', async () => {
  const server = await run('db', 'httpd -p 80; httpd -p 81; sleep 1000', { ExposedPorts: { '80/tcp': {} } });
  const { NetworkSettings } = (await ok('GET', `/containers/${server}/json`)) as {
    NetworkSettings: { IPAddress: string };
  };
  const address = NetworkSettings.IPAddress;
  const linked = await run('app', 'sleep 1000', {}, ['db']);
  const other = await run('other', 'sleep 1000');
  const seen = async () => ({
    linked: await reaches(linked, address, 80),
    notExposed: await reaches(linked, address, 81),
    other: await reaches(other, address, 80),
  });
  await eventually('the port is open', async () => (await reaches(linked, address, 80)) || undefined);
  assert.deepEqual(await seen(), { linked: true, notExposed: false, other: false });
  await networkd.kill();
  await networkd.start();
  assert.deepEqual(await seen(), { linked: true, notExposed: false, other: false });
  await ok('DELETE', `/containers/${linked}?force=1`);
  assert.equal(await host.sh('nft list set inet cleat links4 | grep -c elements || true'), '0');
});

test.run();
