/**
 * One container on one network, in the protocol's order: address from the IPAM driver, createEndpoint, join, the link into the
 * sandbox; and back: leave, the link out, deleteEndpoint, address released. Going back goes on after a failure.
 */
import { randomBytes } from 'node:crypto';
import { moveIn, moveOut } from '../../plugins/linux/sandbox-link.ts';
import { type EndpointInterface, type ExposedPort, type PortBinding, RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError } from '../api/api-error.ts';
import type { EndpointConfig, EndpointRecord } from '../container/record.ts';
import type { Engine } from '../engine.ts';
import { bareIp } from '../network/pools.ts';
import type { NetworkRecord, PoolRecord } from '../network/record.ts';

export interface EndpointPorts {
  readonly exposedPorts: readonly ExposedPort[];
  readonly portBindings: readonly PortBinding[];
}

export interface EndpointNames {
  readonly containerId: string;
  readonly containerName: string;
  readonly aliases: readonly string[];
  /** Container name, aliases, short id: what others on the network find it by. */
  readonly dnsNames: readonly string[];
  /** Of linked containers: `ADDRESS:PORT/PROTOCOL`, open to this one even where containers are kept apart. */
  readonly linkedPorts?: readonly string[];
}

export async function joinNetwork(
  engine: Engine,
  key: string,
  network: NetworkRecord,
  config: EndpointConfig,
  names: EndpointNames,
  ports: EndpointPorts,
): Promise<EndpointRecord> {
  await engine.networks.restored(network.id);
  const driver = await engine.plugins.get(network.driver, 'network');
  const endpointId = randomBytes(32).toString('hex');
  const ids = { networkId: network.id, endpointId };
  const undo: (() => Promise<unknown>)[] = [];
  try {
    const addresses = await requestAddresses(engine, network, config, names, undo);
    const given: EndpointInterface = {
      ...(addresses.v4 ? { address: addresses.v4.address } : {}),
      ...(addresses.v6 ? { addressIPv6: addresses.v6.address } : {}),
      ...(addresses.mac ? { macAddress: addresses.mac } : {}),
    };
    const filled = await madeUnlessRefused(
      undo,
      () => driver.network.deleteEndpoint(ids),
      driver.network.createEndpoint({
        ...ids,
        interface: given,
        macAddressByUser: Boolean(config.MacAddress),
        options: { ...config.DriverOpts, ...nameOptions(names) },
        ...(network.internal ? { exposedPorts: [], portBindings: [] } : ports),
      }),
    );
    refuseChanges(given, filled);
    const reply = await madeUnlessRefused(
      undo,
      () => driver.network.leave(ids),
      driver.network.join({ ...ids, sandboxKey: key, options: {}, ...ports }),
    );
    const iface = { ...filled, ...given };
    const interfaceName = moveIn(key, {
      ...reply.interfaceName,
      ...(iface.macAddress ? { macAddress: iface.macAddress } : {}),
      addresses: [iface.address, iface.addressIPv6, ...linkLocals(config)].filter((address) => address !== undefined),
      staticRoutes: reply.staticRoutes ?? [],
    });
    return {
      networkId: network.id,
      networkName: network.name,
      config,
      endpointId,
      ...(addresses.v4 ? { poolId: addresses.v4.poolId } : {}),
      ...(addresses.v6 ? { poolIdIPv6: addresses.v6.poolId } : {}),
      ...(iface.address ? { address: iface.address } : {}),
      ...(iface.addressIPv6 ? { addressIPv6: iface.addressIPv6 } : {}),
      ...(iface.macAddress ? { macAddress: iface.macAddress } : {}),
      ...(reply.gateway ? { gateway: reply.gateway } : {}),
      ...(reply.gatewayIPv6 ? { gatewayIPv6: reply.gatewayIPv6 } : {}),
      interfaceName,
      srcName: reply.interfaceName.srcName,
      dnsNames: names.dnsNames,
      ...(reply.disableGatewayService ? { noGatewayService: true } : {}),
    };
  } catch (error) {
    for (const step of undo.reverse())
      await step().catch((failure: unknown) =>
        engine.log.warn({ err: failure, network: network.name }, 'undoing a failed join'),
      );
    if (error instanceof RemoteError)
      throw new ApiError(500, `failed to set up container networking: ${error.line}`, { cause: error });
    throw error;
  }
}

/** A driver fills in what it was not given; it does not change what it was. In Docker's words. */
function refuseChanges(given: EndpointInterface, filled: EndpointInterface): void {
  const changed = (field: keyof EndpointInterface) =>
    given[field] !== undefined && filled[field] !== undefined && given[field] !== filled[field];
  if (changed('macAddress'))
    throw new ApiError(500, 'failed to set up container networking: driver modified interface MAC address');
  if (changed('address') || changed('addressIPv6'))
    throw new ApiError(500, 'failed to set up container networking: driver modified interface address');
}

/** A plugin that refuses has made nothing; one whose answer cannot be understood may have, and is told to undo it. */
async function madeUnlessRefused<T>(
  undo: (() => Promise<unknown>)[],
  back: () => Promise<unknown>,
  call: Promise<T>,
): Promise<T> {
  try {
    const reply = await call;
    undo.push(back);
    return reply;
  } catch (error) {
    if (!(error instanceof RemoteError)) undo.push(back);
    throw error;
  }
}

/** Also for endpoints whose sandbox is gone. Every step is tried. */
export async function leaveNetwork(
  engine: Engine,
  key: string,
  endpoint: EndpointRecord,
  afterLeave?: () => Promise<void>,
): Promise<void> {
  const network = engine.networks.find(endpoint.networkId);
  const ids = { networkId: endpoint.networkId, endpointId: endpoint.endpointId };
  const attempt = async (what: string, step: () => Promise<unknown> | unknown) => {
    try {
      await step();
    } catch (error) {
      engine.log.warn({ err: error, network: endpoint.networkName, endpoint: endpoint.endpointId }, what);
    }
  };
  const driver = network && (await engine.plugins.get(network.driver, 'network').catch(() => undefined));
  await attempt('leave', () => driver?.network.leave(ids));
  const { interfaceName, srcName } = endpoint;
  if (interfaceName !== undefined && srcName !== undefined) {
    try {
      moveOut(key, interfaceName, srcName);
    } catch {
      // The sandbox is gone, and the link with it.
    }
  }
  if (afterLeave !== undefined) await attempt('moving the gateway', afterLeave);
  await attempt('delete endpoint', () => driver?.network.deleteEndpoint(ids));
  const ipam = network && (await engine.plugins.get(network.ipamDriver, 'ipam').catch(() => undefined));
  for (const [poolId, address] of [
    [endpoint.poolId, endpoint.address],
    [endpoint.poolIdIPv6, endpoint.addressIPv6],
  ] as const) {
    if (poolId !== undefined && address !== undefined)
      await attempt('release address', () => ipam?.ipam.releaseAddress({ poolId, address: bareIp(address) }));
  }
}

/** What the protocol has no field for: our drivers read these endpoint options, others keep what they do not know. */
function nameOptions({ containerId, containerName, aliases, linkedPorts = [] }: EndpointNames): Record<string, string> {
  return {
    'cleat.name': containerName,
    'cleat.container-id': containerId,
    ...(aliases.length > 0 ? { 'cleat.alias': aliases.join(',') } : {}),
    ...(linkedPorts.length > 0 ? { 'cleat.link': linkedPorts.join(',') } : {}),
  };
}

interface HeldAddress {
  readonly poolId: string;
  /** CIDR. */
  readonly address: string;
}

async function requestAddresses(
  engine: Engine,
  network: NetworkRecord,
  config: EndpointConfig,
  { containerName }: EndpointNames,
  undo: (() => Promise<unknown>)[],
) {
  const { ipam, capabilities } = await engine.plugins.ipam(network.ipamDriver);
  const mac = config.MacAddress || (capabilities.requiresMacAddress ? randomMac() : undefined);
  const request = async (v6: boolean, wanted: string | undefined): Promise<HeldAddress | undefined> => {
    const pools = network.pools.filter((pool) => pool.v6 === v6);
    if (pools.length === 0) return undefined;
    const held = await firstAddress(pools, wanted, (poolId) =>
      ipam.requestAddress({
        poolId,
        ...(wanted ? { address: wanted } : {}),
        isGateway: false,
        serial: false,
        ...(capabilities.requiresMacAddress && mac !== undefined ? { macAddress: mac } : {}),
        // As engines of 29 and later do: a container that comes back can get its old address.
        options: { 'com.docker.network.endpoint.name': containerName },
      }),
    );
    undo.push(() => ipam.releaseAddress({ poolId: held.poolId, address: bareIp(held.address) }));
    return held;
  };
  return {
    mac,
    v4: await request(false, config.IPAMConfig?.IPv4Address || undefined),
    v6: await request(true, config.IPAMConfig?.IPv6Address || undefined),
  };
}

/** Locally administered, for one interface. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** From the first pool that has one; the last refusal is the answer when none has. */
async function firstAddress(
  pools: readonly PoolRecord[],
  wanted: string | undefined,
  request: (poolId: string) => Promise<{ readonly address: string }>,
): Promise<HeldAddress> {
  let refusal: unknown;
  for (const { poolId } of pools) {
    try {
      return { poolId, address: (await request(poolId)).address };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      refusal = error;
    }
  }
  throw refusal ?? new ApiError(500, `no pool for address ${wanted}`);
}

function linkLocals(config: EndpointConfig): string[] {
  return (config.IPAMConfig?.LinkLocalIPs ?? []).map((ip) =>
    ip.includes('/') ? ip : `${ip}/${ip.includes(':') ? 64 : 16}`,
  );
}
