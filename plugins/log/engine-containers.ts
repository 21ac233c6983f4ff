/** Which containers an engine has: asked over its API from time to time, never within a plugin call, where it would wait for us. */
import { request } from 'node:http';

const timeoutMs = 5000;
const maxReplyBytes = 64 * 1024 * 1024;

/** Ids of all containers, or of those of some that there are, running or not. Rejects when the engine does not answer properly. */
export function listEngineContainers(socketPath: string, ids?: readonly string[]): Promise<ReadonlySet<string>> {
  const filters = ids === undefined ? '' : `&filters=${encodeURIComponent(JSON.stringify({ id: ids }))}`;
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/containers/json?all=1${filters}`, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxReplyBytes) call.destroy(new Error('the list is too long'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
          resolve(new Set(containerIds(JSON.parse(Buffer.concat(chunks).toString()))));
        } catch (error) {
          reject(error);
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)));
    call.on('error', reject);
    call.end();
  });
}

function containerIds(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new Error('the reply is no list');
  return reply.map((item: unknown) => {
    const id = typeof item === 'object' && item !== null && 'Id' in item ? item.Id : undefined;
    if (typeof id !== 'string') throw new Error('a container without Id');
    return id;
  });
}
