/** Whether the subnets, ranges, gateways and addresses of a new network fit each other, in Docker's words. */
import ipaddr from 'ipaddr.js';
import { badRequest } from '../api/api-error.ts';
import type { IpamConfigEntry } from './record.ts';

/** Throws Docker's 400 with every problem on a line of its own. */
export function checkIpam(config: readonly IpamConfigEntry[], enableIPv6: boolean): void {
  const problems = config.flatMap((entry) => problemsOf(entry, enableIPv6));
  if (problems.length > 0) throw badRequest(`invalid network config:\n${problems.join('\n')}`);
}

function problemsOf(entry: IpamConfigEntry, enableIPv6: boolean): string[] {
  const { Subnet: text = '', IPRange: range, Gateway: gateway, AuxiliaryAddresses: others = {} } = entry;
  const subnet = parseCidr(text);
  if (subnet === undefined) return [`invalid subnet ${text}: invalid CIDR block notation`];
  // Docker leaves addresses of a family that is off alone.
  if (subnet.kind === 'ipv6' && !enableIPv6) return [];
  const problems: string[] = [];
  if (subnet.network !== text) problems.push(`invalid subnet ${text}: it should be ${subnet.network}`);
  if (range !== undefined) problems.push(...rangeProblems(range, subnet, text));
  if (gateway !== undefined) problems.push(...addressProblems('invalid gateway', gateway, subnet, text));
  for (const address of Object.values(others))
    problems.push(...addressProblems('invalid auxiliary address', address, subnet, text));
  return problems;
}

interface Cidr {
  readonly kind: 'ipv4' | 'ipv6';
  readonly length: number;
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  /** With the host bits zero. */
  readonly network: string;
}

function parseCidr(text: string): Cidr | undefined {
  if (!ipaddr.isValidCIDR(text)) return undefined;
  const [address, length] = ipaddr.parseCIDR(text);
  const kind = address.kind();
  const network = (kind === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(text);
  return { kind, length, address, network: `${network.toString()}/${length}` };
}

function rangeProblems(text: string, subnet: Cidr, subnetText: string): string[] {
  const range = parseCidr(text);
  if (range === undefined) return [`invalid ip-range ${text}: invalid CIDR block notation`];
  if (range.kind !== subnet.kind) return [`invalid ip-range ${text}: parent subnet is an ${shown(subnet.kind)} block`];
  const problems = range.network === text ? [] : [`invalid ip-range ${text}: it should be ${range.network}`];
  if (range.length < subnet.length)
    problems.push(`invalid ip-range ${text}: CIDR block is bigger than its parent subnet ${subnetText}`);
  else if (!contains(subnet, range.address))
    problems.push(`invalid ip-range ${text}: parent subnet ${subnetText} doesn't contain ip-range`);
  return problems;
}

function addressProblems(what: string, text: string, subnet: Cidr, subnetText: string): string[] {
  if (!ipaddr.isValid(text)) return [`${what} ${text}: invalid address`];
  const address = ipaddr.parse(text);
  if (address.kind() !== subnet.kind) return [`${what} ${text}: parent subnet is an ${shown(subnet.kind)} block`];
  return contains(subnet, address) ? [] : [`${what} ${text}: parent subnet ${subnetText} doesn't contain this address`];
}

function contains({ address, length }: Cidr, other: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return (other as ipaddr.IPv4).match(address as ipaddr.IPv4, length);
}

function shown(kind: 'ipv4' | 'ipv6'): string {
  return kind === 'ipv4' ? 'IPv4' : 'IPv6';
}
