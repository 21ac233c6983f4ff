/** An address for a guest where no IPAM driver of ours gives one out. */
import { lastIp, parseCidr } from '../network/address/cidr.ts';
import { addToIp, formatIp } from '../network/address/ip.ts';
import { CommandFailure } from './exit.ts';

const tries = 1000;

/** The highest address of the pool that nobody has, as CIDR. Engines give out from below, so it is the last to be wanted. */
export function highestFree(pool: string, used: readonly string[]): string {
  const cidr = parseCidr(pool);
  // The last IPv4 address is the broadcast address.
  const first = lastIp(cidr).family === 4 ? 1 : 0;
  for (let step = first; step < tries; step += 1) {
    const address = formatIp(addToIp(lastIp(cidr), -step));
    if (!used.includes(address)) return `${address}/${cidr.prefix}`;
  }
  throw new CommandFailure(`no free address near the end of ${pool}`);
}
