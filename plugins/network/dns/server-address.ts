/** Where an upstream is: `192.0.2.53`, `192.0.2.53:5353`, `192.0.2.53#5353`, `[2001:db8::53]:5353`, `fe80::1%eth0`, `tcp://…`. */
import { networkInterfaces } from 'node:os';
import { PluginError } from '../../sdk/errors.ts';
import { findIp, ipToBytes } from '../address/ip.ts';

export interface ServerAddress {
  /** As shown to users: `192.0.2.53`, with the port where it is not 53. */
  readonly text: string;
  readonly host: string;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly port: number;
  /** Interface index of a link-local address; 0 otherwise. */
  readonly scopeId: number;
  /** Ask over TCP from the start. */
  readonly tcp: boolean;
}

/** Throws DNS_SERVER_INVALID. */
export function parseServerAddress(given: string): ServerAddress {
  const tcp = given.startsWith('tcp://');
  const text = given.replace(/^(tcp|udp):\/\//, '');
  const match = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ??
    /^([^#]+)#(\d{1,5})$/.exec(text) ??
    /^([\d.]+):(\d{1,5})$/.exec(text) ?? [text, text];
  const host = match[1] ?? '';
  const port = Number(match[2] ?? 53);
  const [address = '', zone] = host.split('%');
  const ip = findIp(address);
  if (ip === undefined || port < 1 || port > 65535) {
    throw new PluginError('DNS_SERVER_INVALID', `"${given}" is no DNS server`, {
      hint: 'give an address, with a port if it is not 53: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:5353, tcp://192.0.2.53',
    });
  }
  const scopeId = zone === undefined ? 0 : scopeOf(zone);
  const shown = port === 53 ? host : ip.family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  return { text: tcp ? `tcp://${shown}` : shown, host, bytes: ipToBytes(ip), port, scopeId, tcp };
}

function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  return networkInterfaces()[zone]?.find((one) => one.family === 'IPv6')?.scopeid ?? 0;
}
