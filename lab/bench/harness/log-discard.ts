/**
 * The peers of the logs bench: log plugins that throw every line away. Both answer the same protocol on one socket each.
 *
 *     log-discard.ts own SOCKET   Node with cleat-logd's own reader and pauses: what is left out is decoding, formatting, writing
 *     log-discard.ts cat SOCKET   a C program for each session: cat FIFO >/dev/null
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { FifoReader } from '../../../plugins/linux/fifo.ts';
import { Pace, smallTurnBytes } from '../../../plugins/log/pace.ts';
import { turnBytes } from '../../../plugins/log/session.ts';

const [reader = '', socketPath = ''] = process.argv.slice(2);

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.end(JSON.stringify(answer(request.url ?? '', Buffer.concat(chunks).toString())));
  });
}).listen(socketPath, () => process.stdout.write('ready\n'));

function answer(method: string, body: string): object {
  if (method === '/Plugin.Activate') return { Implements: ['LogDriver'] };
  if (method === '/LogDriver.Capabilities') return { Cap: { ReadLogs: true } };
  if (method === '/LogDriver.StartLogging') {
    const { File } = JSON.parse(body) as { File: string };
    if (reader === 'cat') pour(File);
    else discard(File);
  }
  return {};
}

function discard(path: string): void {
  const pace = new Pace();
  const fifo: FifoReader = new FifoReader(path, () => {
    const peeked = fifo.peek(turnBytes);
    if (peeked.kind === 'data') {
      fifo.consume(peeked.data.length);
      pace.found(peeked.data.length);
    }
    if (peeked.kind === 'ended') fifo.close();
    else if (peeked.kind === 'empty' || peeked.data.length < smallTurnBytes) {
      fifo.pause();
      setTimeout(() => fifo.resume(), pace.pauseMs());
    }
  });
}

function pour(path: string): ChildProcess {
  return spawn('sh', ['-c', 'exec cat "$0" >/dev/null', path], { stdio: 'ignore' });
}
