/**
 * From what the engine asked for to what the network is: the bridge and its addresses, the rules of the firewall, what a
 * container is told. Pure; refuses what cannot work.
 */

import { PluginError } from '../../sdk/errors.ts';
import type { CreateNetworkRequest, IpamData, StaticRoute } from '../../sdk/network-plugin.ts';
import { cidrHasIp, parseCidr, parseInterfaceAddress } from '../address/cidr.ts';
import { formatIp, parseIp } from '../address/ip.ts';
import { bridgeName, networkKey } from '../link/names.ts';
import { unreachableHops } from '../link/static-routes.ts';
import type { FamilyRules, NetworkRules } from '../publish/rules.ts';
import {
  type BridgeOptions,
  driverName,
  type GatewayMode,
  networkSchema,
  parseNetworkOptions,
  type ServiceOptions,
} from './options.ts';
import type { NetworkRecord, PoolRecord } from './records.ts';

/** One pool, with what the bridge and containers have in it. */
export interface PoolPlan {
  readonly family: 4 | 6;
  readonly pool: string;
  /** Address of the bridge, with prefix length; absent when the bridge has none there. */
  readonly bridgeAddress?: string;
  /** Bare IP that containers are given as gateway; absent: none. */
  readonly gateway?: string;
}

export interface BridgePlan {
  readonly networkId: string;
  /** The driver's name as users type it. */
  readonly driver: string;
  readonly options: BridgeOptions;
  readonly bridge: string;
  readonly internal: boolean;
  readonly pools: readonly PoolPlan[];
  /** Of the bridge; absent: one that follows from the network's id. */
  readonly macAddress?: string;
  /** Absent: the MTU of the interface that the default route goes by. */
  readonly mtu?: number;
  readonly routes: readonly StaticRoute[];
  readonly rules: (wholeInterface: boolean) => NetworkRules;
}

/** The record of a new network. Throws PROTO_OPTION and NET_ errors for what cannot work. */
export function planNetwork(
  request: CreateNetworkRequest,
  services: ServiceOptions,
  now: { readonly createdAt: string },
): Omit<NetworkRecord, 'madeByUs'> {
  const options = parseNetworkOptions(request.options, services);
  const ipv4 = request.enableIPv4 ? request.ipv4 : [];
  const ipv6 = request.enableIPv6 ? request.ipv6 : [];
  const pools = [...ipv4, ...ipv6].map((data) => planPool(data));
  if (pools.length === 0) {
    throw new PluginError('NET_NO_SUBNET', 'a cleat-bridge network needs at least one subnet', {
      hint: 'give --subnet, or leave --ipv4 and --ipam-driver as they are',
    });
  }
  const record = { ...now, networkId: request.networkId, options: request.options, internal: request.internal };
  checkModes(options, request.internal);
  const hops = unreachableHops(
    options.routes,
    pools.map(({ pool }) => pool),
  );
  if (hops.length > 0) {
    throw new PluginError('PROTO_OPTION', `cleat.route: gateway ${hops.join(', ')} is in no subnet of the network`, {
      hint: `choose one in ${pools.map(({ pool }) => pool).join(' or ')}`,
    });
  }
  if (ipv6.length > 0 && options.mtu !== undefined && options.mtu < 1280) {
    // RFC 8200 §5: links of IPv6 carry at least 1280 bytes; the kernel takes the addresses away below that.
    throw new PluginError('PROTO_OPTION', `${networkSchema.mtu.names[0]}=${options.mtu} is too small for IPv6`, {
      hint: 'use at least 1280, or leave IPv6 off',
    });
  }
  return { ...record, enableIPv6: ipv6.length > 0, pools, confirmed: false };
}

/** What follows from a record. */
export function planBridge(record: Omit<NetworkRecord, 'madeByUs'>, services: ServiceOptions): BridgePlan {
  const options = parseNetworkOptions(record.options, services);
  const pools = record.pools.map((pool) => planAddresses(pool, options, record.internal));
  const bridge = options.bridgeName ?? bridgeName(record.networkId);
  return {
    networkId: record.networkId,
    driver: services.driver ?? driverName,
    options,
    bridge,
    internal: record.internal,
    pools,
    ...(options.mtu !== undefined && { mtu: options.mtu }),
    routes: options.routes,
    rules: (wholeInterface) => ({
      key: networkKey(record.networkId),
      interfaceName: bridge,
      wholeInterface,
      internal: record.internal,
      interContainer: options.interContainer,
      ipv4: familyRules(pools, 4, options.gatewayMode4, options.masquerade, options.hostIpv4),
      ipv6: familyRules(pools, 6, options.gatewayMode6, options.masquerade, options.hostIpv6),
      trustedInterfaces: options.trustedInterfaces,
    }),
  };
}

/** The gateway for a container's address: that of the pool it is in. */
export function gatewayFor(plan: BridgePlan, address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const { ip } = parseInterfaceAddress(address);
  return plan.pools.find(({ pool }) => cidrHasIp(parseCidr(pool), ip))?.gateway;
}

export function gatewayMode(plan: BridgePlan, family: 4 | 6): GatewayMode {
  return family === 4 ? plan.options.gatewayMode4 : plan.options.gatewayMode6;
}

function planPool({ pool, gateway, auxAddresses }: IpamData): PoolRecord {
  const cidr = parseCidr(pool);
  if (cidr.prefix === 0) {
    throw new PluginError('NET_NO_SUBNET', 'the IPAM driver of the network gave no subnet', {
      hint: 'cleat-bridge leaves addresses to IPAM: use --ipam-driver cleat-ipam or the default one',
    });
  }
  const name = cidr.family === 4 ? 'DefaultGatewayIPv4' : 'DefaultGatewayIPv6';
  const other = auxAddresses[name];
  return {
    pool,
    ...(gateway !== undefined && { gateway }),
    ...(other !== undefined && { otherGateway: formatIp(parseInterfaceAddress(other).ip) }),
  };
}

function planAddresses(
  { pool, gateway, otherGateway }: PoolRecord,
  options: BridgeOptions,
  internal: boolean,
): PoolPlan {
  const { family } = parseCidr(pool);
  const isolated = (family === 4 ? options.gatewayMode4 : options.gatewayMode6) === 'isolated';
  const own = gateway === undefined || isolated || (family === 4 && options.inhibitIpv4) ? undefined : gateway;
  // An engine installs whatever gateway it is told, also on internal networks, where nobody would route.
  const told =
    internal || isolated ? undefined : (otherGateway ?? (gateway && formatIp(parseInterfaceAddress(gateway).ip)));
  return { family, pool, ...(own && { bridgeAddress: own }), ...(told && { gateway: told }) };
}

function familyRules(
  pools: readonly PoolPlan[],
  family: 4 | 6,
  mode: GatewayMode,
  masquerade: boolean,
  hostAddress: string | undefined,
): FamilyRules {
  const own = pools.filter((pool) => pool.family === family).map(({ pool }) => pool);
  const source = hostAddress === undefined ? 'masquerade' : { address: formatIp(parseIp(hostAddress)) };
  const inbound = mode === 'routed' ? 'routed' : mode === 'nat-unprotected' ? 'open' : 'nat';
  return { pools: own, inbound, source: masquerade && mode !== 'routed' ? source : 'keep' };
}

function checkModes({ gatewayMode4, gatewayMode6 }: BridgeOptions, internal: boolean): void {
  for (const [schema, mode] of [
    [networkSchema.gatewayMode4, gatewayMode4],
    [networkSchema.gatewayMode6, gatewayMode6],
  ] as const) {
    if (mode === 'isolated' && !internal) {
      throw new PluginError('PROTO_OPTION', `${schema.names[0]}=isolated is for internal networks only`, {
        hint: 'add --internal, or use nat or routed',
      });
    }
  }
}
