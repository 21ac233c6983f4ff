/** The reply of Join: the link that the engine moves, the gateways and the static routes. */
import type { JoinReply, StaticRoute } from '../network-plugin.ts';
import { isAddress, isCidr } from './address-form.ts';
import { refuseReply } from './method.ts';
import { present, type WireObject, type WireReader } from './wire.ts';

/** IFNAMSIZ, <linux/if.h>, less the terminating NUL. */
const LINK_NAME_LENGTH = 15;
/** NEXTHOP and CONNECTED in the engine's types of routes. */
const NEXT_HOP = 0;
const ON_LINK = 1;

export function encodeJoinReply(method: string, reply: JoinReply): WireObject {
  const { srcName, dstPrefix, dstName = '' } = reply.interfaceName;
  if (srcName === '' || srcName.length > LINK_NAME_LENGTH || /[\s/]/.test(srcName)) {
    refuseReply(method, `"${srcName}" is no link name of 1 to ${LINK_NAME_LENGTH} characters`);
  }
  for (const [gateway, family] of [[reply.gateway, 4] as const, [reply.gatewayIPv6, 6] as const]) {
    if (gateway && !isAddress(gateway, family)) refuseReply(method, `gateway "${gateway}" is no IPv${family} address`);
  }
  return {
    InterfaceName: { SrcName: srcName, DstPrefix: dstPrefix, DstName: dstName },
    Gateway: reply.gateway ?? '',
    GatewayIPv6: reply.gatewayIPv6 ?? '',
    StaticRoutes: (reply.staticRoutes ?? []).map((route) => encodeRoute(method, route)),
    DisableGatewayService: reply.disableGatewayService ?? false,
  };
}

function encodeRoute(method: string, route: StaticRoute): WireObject {
  if (!isCidr(route.destination)) refuseReply(method, `route destination "${route.destination}" is not in CIDR form`);
  if (!route.nextHop) return { Destination: route.destination, RouteType: ON_LINK, NextHop: '' };
  if (!isAddress(route.nextHop)) refuseReply(method, `next hop "${route.nextHop}" is no address`);
  return { Destination: route.destination, RouteType: NEXT_HOP, NextHop: route.nextHop };
}

export function decodeJoinReply(body: WireReader): JoinReply {
  const name = body.object('InterfaceName');
  return {
    interfaceName: {
      srcName: name.text('SrcName'),
      dstPrefix: name.text('DstPrefix'),
      ...present('dstName', name.optionalText('DstName')),
    },
    ...present('gateway', optionalAddress(body, 'Gateway', 4)),
    ...present('gatewayIPv6', optionalAddress(body, 'GatewayIPv6', 6)),
    staticRoutes: body.objects('StaticRoutes').map(decodeRoute),
    disableGatewayService: body.flag('DisableGatewayService'),
  };
}

function optionalAddress(body: WireReader, name: string, family: 4 | 6): string | undefined {
  const text = body.optionalText(name);
  if (text !== undefined && !isAddress(text, family)) body.refuse(name, `an IPv${family} address`);
  return text;
}

function decodeRoute(route: WireReader): StaticRoute {
  const destination = route.requiredText('Destination');
  if (!isCidr(destination)) route.refuse('Destination', 'a CIDR');
  if (route.integer('RouteType', NEXT_HOP, ON_LINK, NEXT_HOP) === ON_LINK) return { destination };
  const nextHop = route.requiredText('NextHop');
  return isAddress(nextHop) ? { destination, nextHop } : route.refuse('NextHop', 'an address');
}
