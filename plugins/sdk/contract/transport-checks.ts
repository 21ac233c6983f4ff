/** What every kind of plugin must stand: the handshake, the HTTP of different engines, and bodies of all sorts. */
import { connect } from 'node:net';
import { subsystems } from '../protocol/activate.ts';
import { type ContractRun, expect, NotApplicable } from './report.ts';
import { type RawReply, type Subject, shorten } from './subject.ts';

export interface BodyCases {
  /** Every method that needs a body. */
  readonly needsBody: readonly string[];
  /** Bodies with a field of the wrong type. */
  readonly wrongTypes: readonly (readonly [method: string, body: unknown])[];
  /** A call that changes nothing and succeeds with and without a body. */
  readonly bodyless: string;
}

const EMPTY_BODY =
  'an engine repeats a request with an empty body when its connection broke, so that must be an error and never a default';

export async function checkTransport(run: ContractRun, subject: Subject, cases: BodyCases): Promise<void> {
  const { kind } = subject;
  const name = subsystems[kind];
  await run.check(`Plugin.Activate offers ${name}`, async () => {
    const offered = await subject.client.activate();
    expect(offered.includes(kind), `"Implements" does not contain "${name}" (the spelling counts)`);
  });
  await run.check('Plugin.Activate can be repeated: every engine start and every podman command sends it', async () => {
    await subject.client.activate();
    const offered = await subject.client.activate();
    expect(offered.includes(kind), `the second reply does not contain "${name}"`);
  });
  await run.check('requests of Docker 20.10 are read: empty Host, no Content-Type', async () => {
    accepted(await subject.send({ method: 'Plugin.Activate', headers: { host: '' } }), 'with an empty Host');
    accepted(await subject.send({ method: cases.bodyless, headers: { host: '' } }), 'with an empty Host');
  });
  await run.check('requests of Docker 28 and of podman are read', async () => {
    const docker = {
      host: 'plugin.moby.localhost',
      accept: 'application/vnd.docker.plugins.v1.2+json',
    };
    const podman = { host: 'plugin', 'content-type': 'application/vnd.docker.plugins.v1.1+json' };
    for (const headers of [docker, podman]) {
      accepted(await subject.send({ method: cases.bodyless, headers }), `with Host "${headers.host}"`);
      accepted(await subject.send({ method: cases.bodyless, headers, body: '{}\n' }), `with Host "${headers.host}"`);
    }
  });
  await run.check('several requests use one connection', () => keepAlive(subject, cases.bodyless));
  await run.check('a missing body is an error where one is needed', async () => {
    for (const method of cases.needsBody) {
      for (const body of ['', '{}\n', 'null\n']) await subject.expectRefusal({ method, body }, EMPTY_BODY);
    }
  });
  await run.check('a body that is no JSON object is an error', async () => {
    for (const method of cases.needsBody) {
      for (const body of ['{', '[]', '"text"', '42', '{"a":}', '\0\x01\xff']) {
        await subject.expectRefusal({ method, body }, 'the request cannot be understood');
      }
    }
  });
  await run.check('a field of the wrong type is an error', async () => {
    for (const [method, body] of cases.wrongTypes) {
      await subject.expectRefusal({ method, body: JSON.stringify(body) }, 'a field has the wrong type');
    }
  });
  await run.check('an unknown method is an error, not success', async () => {
    const reply = await subject.send({ method: `${name}.NoSuchMethod`, body: '{}' });
    expect(
      reply.status !== 200 || subject.errorIn(reply) !== undefined,
      `${name}.NoSuchMethod was answered with success (${shorten(reply.text)})`,
    );
  });
  await run.check('bytes that are no HTTP do no harm', async () => {
    for (const bytes of [
      '\0\x01\xff\xfe',
      'GET\r\n\r\n',
      `POST /${cases.bodyless} HTTP/9.9\r\n\r\n`,
      '{"Name":"x"}\n',
    ]) {
      await sendBytes(subject, bytes);
    }
    accepted(await subject.send({ method: cases.bodyless }), 'after bytes that are no HTTP');
  });
  await run.check('a huge body and deep nesting do no harm', async () => {
    const method = cases.needsBody[0] ?? cases.bodyless;
    const huge = `{"Name":"${'x'.repeat(8 << 20)}"}`;
    const deep = `{"Options":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    for (const body of [huge, deep]) {
      // Cutting the connection is a fair answer to this.
      await subject.send({ method, body }).catch(() => undefined);
    }
    accepted(await subject.send({ method: cases.bodyless }), 'after a huge body');
  });
}

/** The last check of each suite. */
export async function checkAlive(run: ContractRun, subject: Subject, bodyless: string): Promise<void> {
  await run.check('after all this the plugin still answers', async () => {
    accepted(await subject.send({ method: bodyless }), 'at the end');
  });
}

function accepted(reply: RawReply, when: string): void {
  expect(reply.status === 200, `a request ${when} was answered with status ${reply.status}: ${shorten(reply.text)}`);
  expect(
    reply.body !== undefined,
    `a request ${when} was answered with ${shorten(reply.text)}, not with a JSON object`,
  );
}

/** Whatever comes back, or that nothing does, is fine. */
async function sendBytes(subject: Subject, bytes: string): Promise<void> {
  const { url } = subject.address;
  const socket = url.startsWith('unix://')
    ? connect(url.slice('unix://'.length))
    : connect(Number(new URL(url).port), new URL(url).hostname);
  const { promise, resolve } = Promise.withResolvers<void>();
  // A request that ends in the middle: the plugin sees the end of the connection.
  socket.once('close', () => resolve()).once('error', () => resolve());
  socket.on('data', () => undefined).end(bytes, 'latin1');
  socket.setTimeout(1000, () => resolve());
  await promise.finally(() => socket.destroy());
}

async function keepAlive(subject: Subject, method: string): Promise<void> {
  const { url } = subject.address;
  if (!url.startsWith('unix://')) throw new NotApplicable('looked at on unix sockets only');
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(url.slice('unix://'.length));
  let received = '';
  const replies = () => received.match(/HTTP\/1\.1 \d{3}/g)?.length ?? 0;
  socket.setTimeout(subject.timeLimitMs, () => reject(new Error(`${replies()} of 3 replies came`)));
  socket.once('error', reject).once('close', () => resolve(received));
  const send = () => socket.write(`POST /${method} HTTP/1.1\r\nHost: \r\nContent-Length: 3\r\n\r\n{}\n`);
  let sent = 0;
  socket.on('connect', send).on('data', (data: Buffer) => {
    received += data.toString('latin1');
    const ends = replies();
    if (ends >= 3) socket.end();
    else if (ends > sent) {
      sent = ends;
      send();
    }
  });
  await promise.finally(() => socket.destroy());
  expect(replies() === 3, `the connection was closed after ${replies()} replies; engines keep theirs open`);
}
