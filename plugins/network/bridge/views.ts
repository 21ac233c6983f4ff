/** Records as others see them: the registry, the publisher. Pure. */
import type { PublishTarget } from '../publish/port-binding.ts';
import type { RegistryEndpoint, RegistryNetwork } from '../registry.ts';
import type { BridgePlan } from './plan.ts';
import type { EndpointRecord, NetworkRecord } from './records.ts';

export function registryNetwork(plan: BridgePlan, record: NetworkRecord): RegistryNetwork {
  return {
    networkId: record.networkId,
    driver: plan.driver,
    options: record.options,
    internal: record.internal,
    pools: plan.pools.map(({ pool, bridgeAddress, gateway }) => {
      const own = bridgeAddress === undefined ? gateway : bare(bridgeAddress);
      return { pool, ...(own !== undefined && { gateway: own }) };
    }),
    hostInterface: plan.bridge,
  };
}

/** `left`: when the endpoint was taken out of its sandbox, which no record tells. */
export function registryEndpoint(record: EndpointRecord, { left }: { readonly left?: number } = {}): RegistryEndpoint {
  const { networkId, endpointId, state, since, address, addressIPv6, macAddress, options, sandboxKey, sandboxSeen } =
    record;
  return {
    networkId,
    endpointId,
    state: left === undefined ? state : 'left',
    addresses: [address, addressIPv6].flatMap((cidr) => (cidr === undefined ? [] : [bare(cidr)])),
    macAddress,
    options,
    since: left ?? Date.parse(since),
    ...(state === 'joined' &&
      left === undefined &&
      sandboxKey !== undefined && { sandboxKey, sandboxSeen: sandboxSeen ?? false }),
    hostInterface: `cv${endpointId.slice(0, 10)}`,
  };
}

export function publishTarget(
  plan: BridgePlan,
  { address, addressIPv6 }: EndpointRecord,
  proxy6To4: boolean,
): PublishTarget {
  const { options } = plan;
  return {
    ...(address !== undefined && { ipv4: bare(address) }),
    ...(addressIPv6 !== undefined && { ipv6: bare(addressIPv6) }),
    routed4: options.gatewayMode4 === 'routed',
    routed6: options.gatewayMode6 === 'routed',
    defaultHostAddress: options.hostBinding === '0.0.0.0' ? '' : (options.hostBinding ?? ''),
    proxy6To4,
  };
}

function bare(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'));
}
