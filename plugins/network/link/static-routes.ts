/** The option `cleat.route`: routes that every container of a network gets. Pure. */
import type { StaticRoute } from '../../sdk/network-plugin.ts';
import { cidrHasIp, findCidr, formatCidr } from '../address/cidr.ts';
import { findIp, formatIp } from '../address/ip.ts';

/** `DEST via GW, DEST` → routes; without `via` the destination is on the link itself. undefined when the text is none. */
export function parseStaticRoutes(value: string): readonly StaticRoute[] | undefined {
  const routes = value.split(',').map((part) => parseRoute(part.trim()));
  return routes.every((route) => route !== undefined) ? routes : undefined;
}

function parseRoute(part: string): StaticRoute | undefined {
  const [destinationText = '', via, gatewayText, ...more] = part.split(/\s+/);
  const destination = findCidr(
    destinationText.includes('/') ? destinationText : `${destinationText}/${bits(destinationText)}`,
  );
  if (!destination || more.length > 0) return undefined;
  if (via === undefined) return { destination: formatCidr(destination) };
  const gateway = via === 'via' && gatewayText !== undefined ? findIp(gatewayText) : undefined;
  if (!gateway || gateway.family !== destination.family) return undefined;
  return { destination: formatCidr(destination), nextHop: formatIp(gateway) };
}

/** Next hops that no pool of the network contains: a container could not reach them, and its start would fail. */
export function unreachableHops(routes: readonly StaticRoute[], pools: readonly string[]): string[] {
  const cidrs = pools.flatMap((pool) => findCidr(pool) ?? []);
  return routes
    .flatMap(({ nextHop }) => nextHop ?? [])
    .filter((hop) => {
      const ip = findIp(hop);
      return !ip || !cidrs.some((cidr) => cidrHasIp(cidr, ip));
    });
}

/** A bare address is a route to that one host. */
function bits(address: string): number {
  return address.includes(':') ? 128 : 32;
}
