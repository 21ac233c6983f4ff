/** What every daemon needs: rights, run time, an engine that looks where the sockets are. */
import { existsSync, statfsSync } from 'node:fs';
import { request } from 'node:http';
import { type Check, fail, ok, warn } from './check.ts';

const engineSockets = ['/var/run/docker.sock', '/run/podman/podman.sock', '/run/cleat/docker.sock'];

export function processChecks(stateDir: string): Check[] {
  return [
    {
      driver: 'all',
      subject: 'root',
      look: () =>
        process.getuid?.() === 0
          ? ok('running as root')
          : fail(`running as user ${process.getuid?.()}`, 'sudo cleat doctor'),
    },
    {
      driver: 'all',
      subject: 'node',
      look: () => {
        const major = Number(process.versions.node.split('.')[0]);
        return major >= 24 ? ok(process.version) : fail(`${process.version} is too old`, 'lab/quickstart --setup-only');
      },
    },
    { driver: 'all', subject: 'engine', look: lookForEngines },
    { driver: 'all', subject: 'disk', look: () => lookAtDisk(stateDir) },
  ];
}

async function lookForEngines() {
  const found: string[] = [];
  for (const socket of engineSockets) {
    if (!existsSync(socket)) continue;
    const version = await engineVersion(socket).catch(() => undefined);
    if (version !== undefined) found.push(`${version} on ${socket}`);
  }
  if (found.length > 0) return ok(found.join(', '));
  return warn(`no engine answers on ${engineSockets.join(', ')}`, 'apt-get install docker.io, or start cleat-shim');
}

function engineVersion(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/version', timeout: 2000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const body = JSON.parse(text) as { Version?: string; Platform?: { Name?: string } };
        resolve(`${body.Platform?.Name || 'engine'} ${body.Version ?? '?'}`);
      });
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject);
    call.end();
  });
}

function lookAtDisk(stateDir: string) {
  const folder = existsSync(stateDir) ? stateDir : '/';
  const { bavail, bsize, blocks } = statfsSync(folder);
  const free = Math.round((bavail / blocks) * 100);
  const detail = `${Math.round((bavail * bsize) / 1e9)} GB (${free} %) free for ${stateDir}`;
  return free < 5 ? warn(detail, 'make room: records are written before each answer') : ok(detail);
}
