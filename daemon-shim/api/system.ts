/** `/_ping`, `/version`, `/events`. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { readVersion } from '../../plugins/sdk/version.ts';
import type { Engine } from '../engine.ts';
import { apiVersion, minApiVersion } from './version.ts';

export function systemRoutes(app: FastifyInstance, _engine: Engine): void {
  const ping = async (_request: unknown, reply: { type(type: string): { send(text: string): unknown } }) =>
    reply.type('text/plain; charset=utf-8').send('OK');
  app.get('/_ping', ping);
  app.head('/_ping', ping);
  app.get('/version', () => versionReply());
}

function versionReply(): object {
  return {
    Platform: { Name: 'cleat' },
    Components: [
      {
        Name: 'Engine',
        Version: readVersion(),
        Details: {
          ApiVersion: apiVersion,
          MinAPIVersion: minApiVersion,
          Arch: architecture(),
          Os: 'linux',
          KernelVersion: release(),
          Experimental: 'false',
        },
      },
    ],
    Version: readVersion(),
    ApiVersion: apiVersion,
    MinAPIVersion: minApiVersion,
    Os: 'linux',
    Arch: architecture(),
    KernelVersion: release(),
    BuildTime: bootTime(),
  };
}

/** Go's name of the processor. */
export function architecture(): string {
  return { x64: 'amd64', ia32: '386', arm64: 'arm64' }[process.arch as string] ?? process.arch;
}

function bootTime(): string {
  const seconds = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? 0);
  return new Date(seconds * 1000).toISOString();
}
