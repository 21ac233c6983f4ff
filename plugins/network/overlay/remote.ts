/** What of the others' word is believed: only what fits the network as this host has it. Pure. */
import { type Cidr, cidrHasIp, parseCidr } from '../address/cidr.ts';
import { findIp } from '../address/ip.ts';
import type { RemotePart, SharedEndpoint, SharedNetwork } from './control-plane.ts';
import type { OverlayOptions } from './options.ts';
import { shareOf } from './share.ts';
import type { SharedTunnel } from './tunnel/rotation.ts';
import { readTunnel } from './tunnel/shared.ts';

/** One host's part of a network, judged. */
export interface RemoteHost {
  readonly node: string;
  readonly hostName: string;
  readonly host: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly endpoints: readonly SharedEndpoint[];
  /** That it gives addresses of; none where one place gives all. */
  readonly ranges: readonly Cidr[];
  /** Where the network is encrypted. */
  readonly tunnel?: SharedTunnel;
  /** Why nothing of it is used. */
  readonly problem?: string;
  /** Endpoints that are left out: their addresses are not that host's to give. */
  readonly refused: number;
}

/**
 * `own`: this host's part; `peers`: the hosts of the network, in the order that gives the shares; `allocated`: addresses come
 * from one place for all hosts, so none is anybody's to give.
 */
export function judge(
  part: RemotePart,
  own: Omit<SharedNetwork, 'endpoints'>,
  { peers, allocated }: Pick<OverlayOptions, 'peers' | 'allocated'>,
): RemoteHost {
  const { node, hostName, network } = part;
  const base = { node, hostName, host: network.host, attributes: network.attributes, ranges: [] };
  const problem = findProblem(network, own, part.ranges === undefined ? peers : undefined);
  if (problem !== undefined) return { ...base, endpoints: [], problem, refused: 0 };
  const position = peers.indexOf(network.host);
  const shares = allocated
    ? own.pools.map(parseCidr)
    : (part.ranges?.map(parseCidr) ?? own.pools.map((pool) => shareOf(pool, position, own.shares)));
  const endpoints = network.endpoints.filter(({ addresses }) => addresses.every((address) => isIn(address, shares)));
  const said = network.attributes['tunnel'];
  const tunnel = said === undefined ? undefined : readTunnel(said);
  if (said !== undefined && tunnel === undefined)
    return { ...base, endpoints: [], problem: 'what it says of its keys cannot be read', refused: 0 };
  const ranges = allocated ? [] : shares;
  return {
    ...base,
    endpoints,
    ranges,
    ...(tunnel && { tunnel }),
    refused: network.endpoints.length - endpoints.length,
  };
}

function findProblem(
  network: SharedNetwork,
  own: Omit<SharedNetwork, 'endpoints'>,
  peers: readonly string[] | undefined,
): string | undefined {
  if (network.host === own.host) return `it uses this host's address ${own.host}`;
  if (peers?.includes(network.host) === false) return `${network.host} is not among the peers here`;
  const differing = (['vni', 'port', 'shares'] as const).find((name) => network[name] !== own[name]);
  if (differing !== undefined) return `its ${differing} is ${network[differing]}, here it is ${own[differing]}`;
  // Nothing is sent to a host that would not encrypt, or could not read.
  const encrypted = network.attributes['tunnel'] !== undefined;
  if (encrypted !== (own.attributes['tunnel'] !== undefined))
    return encrypted
      ? 'it encrypts the network, which is in clear here'
      : 'the network is in clear there, and encrypted here';
  const lists = (['pools', 'gateways'] as const).find((name) => network[name].join() !== own[name].join());
  if (lists === undefined) return undefined;
  return `its ${lists} are ${network[lists].join(', ') || 'none'}, here they are ${own[lists].join(', ') || 'none'}`;
}

function isIn(address: string, shares: readonly Cidr[]): boolean {
  const ip = findIp(address);
  return ip !== undefined && shares.some((share) => share.family === ip.family && cidrHasIp(share, ip));
}
