/**
 * Tells systemd that the service is ready or stopping, sd_notify(3). The message is a datagram on a unix socket, which Node
 * cannot send; systemd's own `systemd-notify` sends it, and is there wherever systemd asks for it. It is another process than
 * the service, so the unit says `NotifyAccess=all`.
 */
import { execFile } from 'node:child_process';
import type { FastifyBaseLogger } from 'fastify';

const LIMIT_MS = 5000;

/** Does nothing outside systemd. Never throws: a service that cannot say so is ready all the same. */
export function notifySystemd(state: 'READY=1' | 'STOPPING=1' | 'RELOADING=1', log?: FastifyBaseLogger): void {
  if (!process.env['NOTIFY_SOCKET']) return;
  execFile('systemd-notify', [`--pid=${process.pid}`, state], { timeout: LIMIT_MS }, (error) => {
    if (error !== null) log?.warn({ err: error }, `systemd was not told ${state}`);
  });
}
