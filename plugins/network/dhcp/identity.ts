/**
 * Who a container is to a DHCP server. One whose name the engine tells is one client for ever, whatever MAC it gets; else the MAC
 * is the client. Pure.
 */
import { createHash } from 'node:crypto';
import type { DhcpPoolRecord } from './records.ts';

/** RFC 8415 §11.5: a DUID of type UUID. */
const duidUuid = [0, 4];
/** RFC 8415 §11.4: a DUID of type link-layer address, hardware type Ethernet. */
const duidLinkLayer = [0, 3, 0, 1];

/** RFC 2132 §9.14: type 0 and our own identifier for a named container, else type 1 and the MAC. */
export function clientId4(container: string | undefined, mac: string): Buffer {
  if (container === undefined) return Buffer.concat([Buffer.from([1]), macBytes(mac)]);
  return Buffer.concat([Buffer.from([0]), hash(`cleat container ${container}`).subarray(0, 16)]);
}

export function duid6(container: string | undefined, mac: string): Buffer {
  if (container === undefined) return Buffer.concat([Buffer.from(duidLinkLayer), macBytes(mac)]);
  return Buffer.concat([Buffer.from(duidUuid), hash(`cleat container ${container}`).subarray(0, 16)]);
}

/** Whether a client is known by its MAC alone. `clientId`: hexadecimal, of either family. */
export function isKnownByMac({ clientId, mac }: { readonly clientId: string; readonly mac: string }): boolean {
  return [clientId4, duid6].some((identity) => identity(undefined, mac).toString('hex') === clientId);
}

/** The same for the same subnet on the same parent, so that a network that is made anew finds its leases (RFC 8415 §12). */
export function iaidOf({ parent, pool }: Pick<DhcpPoolRecord, 'parent' | 'pool'>): number {
  return hash(`cleat network ${parent} ${pool}`).readUInt32BE(0);
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
