/** Addresses of hosts in a network of their own, which follow from those outside, so that nobody has to be told. Pure. */
import { createHash } from 'node:crypto';
import { ipText } from '../../linux/netlink/address-bytes.ts';

export interface HostAddresses {
  /** RFC 4193: a locally assigned prefix, chosen once by the hash of what it is for. */
  readonly prefix: string;
  /** `host`: as in the list of peers. */
  of(host: string): string;
}

export function hostAddresses(purpose: string): HostAddresses {
  const head = Buffer.concat([Buffer.from([0xfd]), hash(purpose).subarray(0, 5)]);
  return {
    prefix: `${ipText(Buffer.concat([head, Buffer.alloc(10)]))}/48`,
    of: (host) => ipText(Buffer.concat([head, hash(host).subarray(0, 10)])),
  };
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
