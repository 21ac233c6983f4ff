/** MAC addresses that follow from what they belong to, so that they are the same after a restart or a new container. Pure. */
import { createHash } from 'node:crypto';
import { ipToBytes, parseIp } from '../address/ip.ts';
import { macFromBytes } from '../address/mac.ts';

/**
 * `02:42:` and four bytes of the address, as Docker did for years: neighbours' caches stay true when the address changes hands.
 * An IPv6 address gives the same form by a hash.
 */
export function macFromAddress(address: string): string {
  const bytes = ipToBytes(parseIp(address));
  return macFromBytes(
    Buffer.concat([Buffer.from([0x02, 0x42]), bytes.length === 4 ? bytes : hash(address).subarray(0, 4)]),
  );
}

/** For a bridge: with a MAC of its own it does not take over that of whichever port has the lowest. */
export function macFromId(id: string): string {
  return macFromBytes(Buffer.concat([Buffer.from([0x02, 0x63]), hash(id).subarray(0, 4)]));
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
