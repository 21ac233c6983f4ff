/** The peer of the logs bench: a log plugin that reads every FIFO in large chunks and throws everything away. */
import { constants, openSync } from 'node:fs';
import { createServer } from 'node:http';
import { Socket } from 'node:net';

const [socketPath = ''] = process.argv.slice(2);

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
    const fd = openSync(File, constants.O_RDONLY | constants.O_NONBLOCK);
    new Socket({ fd, readable: true, writable: false }).on('data', () => {});
  }
  return {};
}
