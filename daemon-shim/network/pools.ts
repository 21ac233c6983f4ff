/** A network's pools at its IPAM driver: asked for in Docker's order, given back when a later step fails. */
import { type IpamClient, RemoteError } from '../../plugins/sdk/index.ts';
import type { IpamConfigEntry, PoolRecord } from './record.ts';

/** Default pools may hold thousands of subnets; a host has not that many of its own. */
const maxAttempts = 64;

export interface PoolsRequest {
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly config: readonly IpamConfigEntry[];
  readonly options: Readonly<Record<string, string>>;
  /** Subnets for a family without any; none: the IPAM driver chooses. */
  readonly freeSubnets: (v6: boolean) => Iterable<string>;
  /** From gwAllocCheck: families for which the driver wants no gateway. */
  readonly skipGatewayIPv4: boolean;
  readonly skipGatewayIPv6: boolean;
}

/** All IPv4 pools, then all IPv6 pools; each with its gateway and auxiliary addresses. */
export async function requestPools(ipam: IpamClient, request: PoolsRequest): Promise<PoolRecord[]> {
  const held: PoolRecord[] = [];
  try {
    for (const v6 of [false, true]) {
      if (!(v6 ? request.enableIPv6 : request.enableIPv4)) continue;
      for (const entry of familyEntries(request.config, v6)) {
        await requestPool(ipam, request, entry, v6, held);
      }
    }
    return held;
  } catch (error) {
    await releasePools(ipam, held);
    throw error;
  }
}

/** Goes on after a failure: what cannot be given back is the IPAM driver's to find. */
export async function releasePools(ipam: IpamClient, pools: readonly PoolRecord[]): Promise<void> {
  for (const pool of pools) {
    const addresses = [pool.gateway, ...Object.values(pool.auxAddresses)].filter((address) => address !== undefined);
    for (const address of addresses) {
      await ipam.releaseAddress({ poolId: pool.poolId, address: bareIp(address) }).catch(() => {});
    }
    await ipam.releasePool({ poolId: pool.poolId }).catch(() => {});
  }
}

export function bareIp(cidr: string): string {
  return cidr.split('/')[0] ?? cidr;
}

async function requestPool(
  ipam: IpamClient,
  request: PoolsRequest,
  entry: IpamConfigEntry,
  v6: boolean,
  held: PoolRecord[],
): Promise<void> {
  const { local } = await ipam.getDefaultAddressSpaces();
  const ask = (subnet: string | undefined) =>
    ipam.requestPool({
      addressSpace: local,
      ...(subnet ? { pool: subnet } : {}),
      ...(entry.IPRange ? { subPool: entry.IPRange } : {}),
      options: request.options,
      v6,
    });
  const pool = entry.Subnet ? await ask(entry.Subnet) : await firstThatIsFree(request.freeSubnets(v6), ask);
  const record: PoolRecord = {
    v6,
    poolId: pool.poolId,
    addressSpace: local,
    pool: pool.pool,
    ...(entry.IPRange ? { subPool: entry.IPRange } : {}),
    auxAddresses: {},
  };
  const at = held.push(record) - 1;
  const skip = v6 ? request.skipGatewayIPv6 : request.skipGatewayIPv4;
  if (pool.gateway !== undefined) held[at] = { ...record, gateway: pool.gateway };
  else if (!skip || entry.Gateway) {
    const { address } = await ipam.requestAddress({
      poolId: pool.poolId,
      ...(entry.Gateway ? { address: entry.Gateway } : {}),
      isGateway: true,
      serial: false,
      options: {},
    });
    held[at] = { ...record, gateway: address };
  }
  for (const [name, wanted] of Object.entries(entry.AuxiliaryAddresses ?? {})) {
    const { address } = await ipam.requestAddress({
      poolId: pool.poolId,
      address: wanted,
      isGateway: false,
      serial: false,
      options: {},
    });
    const current = held[at] ?? record;
    held[at] = { ...current, auxAddresses: { ...current.auxAddresses, [name]: address } };
  }
}

/** The driver knows of more than this engine does: what it refuses is taken, and the next one is tried. */
async function firstThatIsFree<T>(
  subnets: Iterable<string>,
  ask: (subnet: string | undefined) => Promise<T>,
): Promise<T> {
  let refusal: RemoteError | undefined;
  let attempts = 0;
  for (const subnet of subnets) {
    if (++attempts > maxAttempts) break;
    try {
      return await ask(subnet);
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      refusal = error;
    }
  }
  if (refusal !== undefined) throw refusal;
  return ask(undefined);
}

/** The entries of one family; an enabled family without any gets one empty entry: the driver chooses. */
function familyEntries(config: readonly IpamConfigEntry[], v6: boolean): readonly IpamConfigEntry[] {
  const own = config.filter((entry) => isV6(entry) === v6);
  return own.length > 0 ? own : [{}];
}

function isV6(entry: IpamConfigEntry): boolean {
  return entry.Subnet?.includes(':') ?? false;
}
