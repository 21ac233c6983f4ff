/**
 * Which part of a subnet is one host's own. Every host works it out from the same list, so no address can be given twice,
 * whoever is reachable. Pure.
 */
import { PluginError } from '../../sdk/errors.ts';
import { type Cidr, cidrHasIp, formatCidr, parseCidr, subnetAt } from '../address/cidr.ts';
import { addressBits, formatIp, type Ip } from '../address/ip.ts';

/** `shares` is rounded up to a power of two, so that a share is a block like any other. */
export function shareOf(pool: string, index: number, shares: number): Cidr {
  const cidr = parseCidr(pool);
  const prefix = cidr.prefix + Math.ceil(Math.log2(shares));
  if (prefix > addressBits[cidr.family] - 2) {
    throw new PluginError('NET_OVERLAY_SHARE', `subnet ${pool} is too small for ${shares} hosts`, {
      hint: 'choose a larger --subnet: each host gets an equal part of it',
    });
  }
  return subnetAt(cidr, prefix, BigInt(index));
}

/** Throws NET_OVERLAY_SHARE for an address that is another host's to give. */
export function checkShare(ip: Ip, shares: readonly Cidr[]): void {
  const own = shares.filter(({ family }) => family === ip.family);
  if (own.some((share) => cidrHasIp(share, ip))) return;
  const ranges = own.map(formatCidr).join(', ');
  throw new PluginError(
    'NET_OVERLAY_SHARE',
    `${formatIp(ip)} is not this host's to give: its share of the subnet is ${ranges}`,
    { hint: `create the network with --ip-range ${ranges} on this host, or choose an --ip of it` },
  );
}
