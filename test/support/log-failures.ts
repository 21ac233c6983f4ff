/**
 * The failure matrix, for a protocol that acknowledges: a server that is down, dies, turns deaf, cuts connections, moves; a daemon
 * that is killed. Each line of a numbered stream arrives at least once, in order on each connection, and no stop waits for a server.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from './daemon.ts';
import { eventually } from './deadline.ts';
import { createHost, type Host } from './host.ts';
import { type LogReceiver, logReceiver } from './log-receiver.ts';
import { type LogSession, logInfo, openLogSession } from './log-session.ts';
import { allArrive, flood, numbersIn, writeNumbered } from './numbered-lines.ts';

/** Of kills; more by hand. */
const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
async function stops(session: LogSession): Promise<void> {
  const took = await session.stop();
  assert.ok(took < 2000, `StopLogging took ${took} ms`);
}

/** The container's order, wherever the sending began again. */
function inOrder(receiver: LogReceiver): void {
  const connections = Map.groupBy(receiver.arrivals(), ({ connection }) => connection);
  for (const arrivals of connections.values()) {
    const numbers = numbersIn(Buffer.concat(arrivals.map(({ data }) => data)).toString());
    const fault = numbers.findIndex((number, index) => index > 0 && number !== (numbers[index - 1] ?? 0) + 1);
    assert.is(fault, -1, `${numbers.slice(fault - 2, fault + 3)}`);
  }
}

/** Defines the tests of a file; its own come after. `port`: the first of those that it may use. */
export function failureMatrix(driver: string, address: string, firstPort: number): void {
  let port = firstPort;
  let host: Host;
  let logd: Daemon;

  test.before(async () => {
    host = await createHost({ name: 'logfailures' });
    logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
    await host.sh('ip addr add 127.0.0.2/8 dev lo');
  });

  test.after(() => host.close());

  const open = async (servers: string, more: Readonly<Record<string, string>> = {}): Promise<LogSession> => {
    const session = openLogSession(logd, driver, logInfo({ [address]: servers, ...more }));
    await session.start();
    return session;
  };

  test(`the server is down at the start, dies in the stream, and is down at the stop`, async () => {
    const here = ++port;
    const server = logReceiver(host);
    const session = await open(`tcp://127.0.0.1:${here}`);
    await writeNumbered(session, 0, 300);
    await server.start(`tcp:${here}`);
    for (let part = 1; part < 5; part++) {
      await writeNumbered(session, part * 300, (part + 1) * 300);
      await eventually('something of it arrives', () => numbersIn(server.text()).length > 0);
      await server.kill();
      if (part < 4) await server.start(`tcp:${here}`);
    }
    await writeNumbered(session, 1500, 1800);
    await stops(session);
    await server.start(`tcp:${here}`);
    await allArrive(server.text, 1800);
    await server.kill();
  });

  test(`a server that accepts and never reads is given up for the next one`, async () => {
    const [deafPort, goodPort] = [++port, ++port];
    const [deaf, good] = [logReceiver(host), logReceiver(host)];
    await deaf.start(`tcp:${deafPort}:deaf`);
    await good.start(`tcp:${goodPort}`);
    const session = await open(`tcp://127.0.0.1:${deafPort},tcp://127.0.0.1:${goodPort}`);
    // More than the kernels of both sides hold back.
    await writeNumbered(session, 0, 1500, 'y'.repeat(8000));
    await stops(session);
    await allArrive(good.text, 1500);
    inOrder(good);
    await deaf.kill();
    await good.kill();
  });

  test(`connections that are reset in the middle of a message`, async () => {
    const here = ++port;
    const server = logReceiver(host);
    await server.start(`tcp:${here}:resets`);
    const session = await open(`tcp://127.0.0.1:${here}`);
    for (let part = 0; part < 10; part++) {
      await writeNumbered(session, part * 100, (part + 1) * 100);
      await pause(50);
    }
    await stops(session);
    await allArrive(server.text, 1000);
    inOrder(server);
    await server.kill();
  });

  test(`the address behind the name changes`, async () => {
    const here = ++port;
    const server = logReceiver(host);
    const moveTo = (addresses: string): Promise<string> =>
      host.sh(`printf '127.0.0.1 localhost\\n${addresses} logs.example.org\\n' >/etc/hosts`);
    await moveTo('127.0.0.1');
    await host.sh('ip addr show dev lo | grep 127.0.0.2 >&2');
    await server.start(`tcp:${here}`);
    const session = await open(`tcp://logs.example.org:${here}`);
    await writeNumbered(session, 0, 50);
    await allArrive(server.text, 50);
    await moveTo('127.0.0.2');
    // An answer is shared for a second by all who ask: resolve-host.ts
    await pause(1500);
    await server.kill();
    await writeNumbered(session, 50, 100);
    await server.start(`tcp:${here}`);
    await allArrive(server.text, 100);
    await eventually('it is connected to the new address', async () =>
      (await host.sh('ss -Hnt state established')).includes(`127.0.0.2:${here}`),
    );
    await stops(session);
    await server.kill();
  });

  test(`${rounds} rounds of SIGKILL under load, the server killed now and then too`, async () => {
    const here = ++port;
    const server = logReceiver(host);
    await server.start(`tcp:${here}`);
    const session = await open(`tcp://127.0.0.1:${here}`);
    let stopped = false;
    // What a process that is killed has not seen confirmed is sent again: the receiver has to hold many times what was written.
    const flooding = flood(session, () => stopped, { lines: 30, restMs: 20 });
    for (let round = 0; round < rounds; round++) {
      // Now and then long enough for something to be confirmed: else all of it is sent again each time.
      await pause(round % 5 === 4 ? 2500 : 20 + Math.random() * 150);
      await logd.kill();
      if (round % 5 === 1) {
        await server.kill();
        await server.start(`tcp:${here}`);
      }
      await logd.start();
    }
    stopped = true;
    const count = await flooding;
    await stops(session);
    await allArrive(server.text, count, 120_000);
    inOrder(server);
    assert.is(new Set(numbersIn(server.text())).size, count);
    await server.kill();
  });

  test(`the container is gone before the server is there, and the daemon restarts in between`, async () => {
    const here = ++port;
    const server = logReceiver(host);
    const session = await open(`tcp://127.0.0.1:${here}`);
    await writeNumbered(session, 0, 300);
    await stops(session);
    await logd.kill();
    await logd.start();
    await server.start(`tcp:${here}`);
    await allArrive(server.text, 300);
    inOrder(server);
    await server.kill();
  });
}
