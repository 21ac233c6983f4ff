/** Against a real server on a unix socket in this process. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import { LogFiles } from '../files/log-files.ts';
import { JournalWriter } from '../journal/writer.ts';
import type { MessageFormat } from './message.ts';
import { Sender, type SpoolPolicy } from './sender.ts';
import { streamConnector } from './stream-connection.ts';

const root = mkdtempSync(join(tmpdir(), 'cleat-sender-'));
test.after(() => rmSync(root, { recursive: true }));

const plain: MessageFormat = {
  add({ line }, batch) {
    const out = batch.reserve(line.length + 1);
    const end = batch.length + line.copy(out, batch.length);
    out[end] = 0x0a;
    batch.end(end + 1);
  },
};

let logs = 0;
function openLog(folder = join(root, String(++logs)), policy: SpoolPolicy = 'oldest', maxBytes = 1_000_000) {
  mkdirSync(folder, { recursive: true });
  const socketPath = join(folder, 'socket');
  const journal: JournalWriter = new JournalWriter({
    files: new LogFiles({ kind: 'sequence', path: join(folder, 'journal') }),
    limits: { maxSizeBytes: 2000, maxFiles: 3, compress: false },
    mayRemove: (file) => sender.isSent(file.sequence),
    mayCompress: () => false,
    onError: (error) => {
      throw error;
    },
  });
  const sender = new Sender({
    journal,
    cursorPath: join(folder, 'cursor'),
    connectors: [streamConnector('the test server', { kind: 'unix', path: socketPath })],
    format: plain,
    assemble: { maxBytes: 100_000, partialTimeoutMs: 1000, multiline: undefined },
    acknowledgeLagMs: 20,
    spool: { maxBytes, policy },
    onWarning: () => {},
  });
  const write = (from: number, to: number): void => {
    for (let number = from; number < to; number++) {
      const batch = new LogFrameBatch();
      const line = Buffer.from(`line ${number}`);
      batch.write('stdout', 0, number, line, 0, line.length, false);
      const frame = batch.take();
      const scanner = new LogFrameScanner();
      scanner.reset(frame, 0, frame.length);
      journal.write(scanner);
      sender.notify();
    }
  };
  const start = (): void => sender.start({ ended: false, changed: async () => {} });
  const stop = (): void => {
    sender.stop();
    journal.close();
  };
  return { folder, socketPath, journal, sender, write, start, stop };
}

interface TestServer {
  text(): string;
  close(): void;
}

function serve(path: string): Promise<TestServer> {
  rmSync(path, { force: true });
  let text = '';
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.on('error', () => {});
  });
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve) => server.listen(path, () => resolve({ text: () => text, close })));
}

async function until(what: string, ask: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (ask()) return;
    await pause(5);
  }
  throw new Error(`never: ${what}`);
}

const numbers = (text: string): Set<number> =>
  new Set([...text.matchAll(/^line (\d+)$/gm)].map(([, number]) => Number(number)));

test('in order, over files, and the files that were sent go down to max-file', async () => {
  const log = openLog();
  const server = await serve(log.socketPath);
  log.start();
  log.write(0, 500);
  await until('all are there', () => numbers(server.text()).size === 500);
  assert.is(server.text(), Array.from({ length: 500 }, (_, number) => `line ${number}\n`).join(''));
  await until('confirmed', () => log.sender.caughtUp);
  assert.ok(log.journal.files.all.length <= 3);
  log.stop();
  server.close();
});

test('a server that comes late and dies in between; nothing is sent again that was confirmed before a restart', async () => {
  const log = openLog();
  log.start();
  log.write(0, 300);
  await until('it was tried', () => log.sender.stats().reconnects > 0);
  assert.ok(log.journal.files.all.length > 3, 'what is not sent stays');
  const first = await serve(log.socketPath);
  await until('all are there', () => numbers(first.text()).size === 300);
  await until('confirmed', () => log.sender.caughtUp);
  first.close();
  log.write(300, 400);
  const second = await serve(log.socketPath);
  await until('the rest is there', () => numbers(second.text()).size >= 100);
  assert.equal(Math.min(...numbers(second.text())), 300);
  await until('confirmed', () => log.sender.caughtUp);
  log.stop();

  const again = openLog(log.folder);
  assert.ok(again.sender.caughtUp);
  again.write(400, 410);
  again.start();
  await until('the new ones are there', () => numbers(second.text()).has(409));
  assert.is(second.text().split('line 399\n').length, 2);
  again.stop();
  second.close();
});

test('a cursor that points to files that are gone', async () => {
  const log = openLog();
  writeFileSync(join(log.folder, 'cursor'), '7 4711 0 0\n');
  const again = openLog(log.folder);
  const server = await serve(again.socketPath);
  again.write(0, 10);
  again.start();
  await until('they are sent', () => numbers(server.text()).size === 10);
  again.stop();
  server.close();
});

test('a full spool gives up its oldest file and says how many lines that were', async () => {
  const log = openLog(undefined, 'oldest', 8000);
  log.write(0, 1000);
  log.stop();
  // The account outlives the process.
  const again = openLog(log.folder, 'oldest', 8000);
  const server = await serve(again.socketPath);
  again.start();
  const told = (): number =>
    Number(/^cleat: (\d+) lines \(\d+ bytes\) dropped here: the spool was full$/m.exec(server.text())?.[1] ?? 0);
  await until('the last one is there', () => numbers(server.text()).has(999));
  assert.ok(told() > 0);
  assert.is(numbers(server.text()).size + told(), 1000);
  again.stop();
  server.close();
});

test.run();
