/** From what the engine asked for to what a network on the LAN is. Pure. */
import { PluginError } from '../../sdk/errors.ts';
import type { CreateNetworkRequest, IpamData, JoinReply } from '../../sdk/network-plugin.ts';
import { cidrAround, cidrHasIp, parseCidr, parseInterfaceAddress } from '../address/cidr.ts';
import { formatIp } from '../address/ip.ts';
import { containerEndName } from '../link/names.ts';
import type { LinkMode } from './options.ts';
import type { LanEndpointRecord, LanNetworkRecord, LanPool } from './records.ts';

const ahead = [1n, 2n, 3n];

/** The record of a new network. Throws NET_NO_SUBNET. */
export function planLanNetwork(request: CreateNetworkRequest, driver: string, createdAt: string): LanNetworkRecord {
  const ipv4 = request.enableIPv4 ? request.ipv4 : [];
  const ipv6 = request.enableIPv6 ? request.ipv6 : [];
  const pools = [...ipv4, ...ipv6].map(planPool);
  if (pools.length === 0) {
    throw new PluginError('NET_NO_SUBNET', `a ${driver} network needs at least one subnet`, {
      hint: 'give --subnet, the one of your LAN',
    });
  }
  // As with Docker's drivers: without a parent there is no way out.
  const internal = request.internal || !request.options['parent'];
  return { networkId: request.networkId, options: request.options, internal, pools, createdAt };
}

/** What the engine is told at join. Of an l3 ipvlan the way out is the link itself: there is nobody to ask for a MAC. */
export function planJoin(
  network: LanNetworkRecord,
  endpoint: LanEndpointRecord,
  names: { readonly prefix: string; readonly interfaceName: string | undefined },
  mode: LinkMode,
  isRouter: (gateway: string) => boolean,
): JoinReply {
  const interfaceReply = {
    srcName: containerEndName(endpoint.endpointId),
    dstPrefix: names.prefix,
    ...(names.interfaceName !== undefined && { dstName: names.interfaceName }),
  };
  const base = { interfaceName: interfaceReply, disableGatewayService: true };
  if (network.internal) return base;
  if (mode.kind === 'ipvlan' && mode.mode !== 'l2') {
    const anywhere = [endpoint.address && '0.0.0.0/0', endpoint.addressIPv6 && '::/0'].filter(
      (one) => one !== undefined && one !== '',
    );
    return { ...base, staticRoutes: anywhere.map((destination) => ({ destination: destination as string })) };
  }
  const gateway = gatewayFor(network, endpoint.address);
  const gatewayIPv6 = gatewayFor(network, endpoint.addressIPv6);
  return {
    ...base,
    ...(gateway !== undefined && isRouter(gateway) && { gateway }),
    ...(gatewayIPv6 !== undefined && isRouter(gatewayIPv6) && { gatewayIPv6 }),
  };
}

/** Engines give addresses out one after the other: these come next in their subnets. */
export function nextAddresses(addresses: readonly (string | undefined)[]): string[] {
  return addresses.flatMap((address) => {
    if (address === undefined) return [];
    const { ip, prefix } = parseInterfaceAddress(address);
    const subnet = cidrAround(ip, prefix);
    return ahead.flatMap((offset) => {
      const next = { family: ip.family, value: ip.value + offset };
      return cidrHasIp(subnet, next) ? [formatIp(next)] : [];
    });
  });
}

function gatewayFor(network: LanNetworkRecord, address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const { ip } = parseInterfaceAddress(address);
  return network.pools.find(({ pool }) => cidrHasIp(parseCidr(pool), ip))?.gateway;
}

function planPool({ pool, gateway, auxAddresses }: IpamData): LanPool {
  const { family, prefix } = parseCidr(pool);
  if (prefix === 0)
    throw new PluginError('NET_NO_SUBNET', 'the IPAM driver of the network gave no subnet', {
      hint: 'give --subnet, or use --ipam-driver cleat-ipam',
    });
  const given = auxAddresses[family === 4 ? 'DefaultGatewayIPv4' : 'DefaultGatewayIPv6'] ?? gateway;
  return { pool, ...(given !== undefined && { gateway: formatIp(parseInterfaceAddress(given).ip) }) };
}
