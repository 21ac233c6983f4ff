/**
 * The IPAM driver: requests of the protocol to decisions (pool-request.ts, pool.ts) and their records (ledger.ts). What decides
 * and records runs from start to end without waiting, so requests cannot meet half-way, and each writes to the disk at most
 * once. Only for a subnet that hosts share the store is asked before, when this host needs one more block of it.
 */

import { PluginError } from '../../sdk/errors.ts';
import type {
  DefaultAddressSpaces,
  IpamCapabilities,
  IpamDriver,
  RequestAddressReply,
  RequestAddressRequest,
  RequestPoolReply,
  RequestPoolRequest,
} from '../../sdk/ipam-plugin.ts';
import { cidrsOverlap, formatCidr } from '../address/cidr.ts';
import { findIp, parseIp } from '../address/ip.ts';
import { findMac } from '../address/mac.ts';
import type { HostBlock } from './host-blocks.ts';
import { type AddressChange, addressText, type Ledger, type PoolEntry } from './ledger.ts';
import { type IpamConfig, type PoolOptions, parsePoolOptions } from './options.ts';
import type { AddressKind } from './pool.ts';
import { chooseFreePool, parseNamedPool, refuseOverlap } from './pool-request.ts';
import { type AddressSpace, type PoolRecord, poolIdOf } from './records.ts';
import type { SubnetSharing } from './subnet-sharing.ts';

/** netlabel.EndpointName: engines of 29 and later, and the shim, give the container's name here. */
export const containerNameOption = 'com.docker.network.endpoint.name';

/** A network's creation asks for all its addresses within milliseconds. */
const creationMs = 10_000;

const spaces: DefaultAddressSpaces & { readonly local: AddressSpace; readonly global: AddressSpace } = {
  local: 'cleat-local',
  global: 'cleat-global',
};

export interface IpamDriverParts {
  readonly ledger: Ledger;
  readonly config: () => IpamConfig;
  /** What the host uses; asked at each request that names no pool, and once for each that does. */
  readonly hostBlocks: () => readonly HostBlock[];
  readonly sharing?: SubnetSharing;
  readonly now: () => number;
  /** Told after each change of a pool's use. */
  readonly onUse: (entry: PoolEntry) => void;
}

export class CleatIpam implements IpamDriver {
  readonly capabilities: IpamCapabilities;
  readonly #parts: IpamDriverParts;

  constructor(parts: IpamDriverParts) {
    this.#parts = parts;
    // Engines ask for the capabilities once, so a change of these two waits for the next start of both.
    const { requireMac, requestReplay } = parts.config();
    this.capabilities = { requiresMacAddress: requireMac, requiresRequestReplay: requestReplay };
  }

  async getDefaultAddressSpaces(): Promise<DefaultAddressSpaces> {
    return spaces;
  }

  async requestPool(request: RequestPoolRequest): Promise<RequestPoolReply> {
    const space = parseSpace(request.addressSpace);
    const options = parsePoolOptions(request.options);
    const named = parseNamedPool(request);
    const { ledger } = this.#parts;
    if (named === undefined && options.network !== undefined) {
      throw new PluginError('IPAM_POOL_INVALID', `the network ${options.network} over hosts needs a subnet`, {
        hint: 'give --subnet, the same on every host',
      });
    }
    if (named === undefined) return this.#addAutomatic(space, request, options);
    const pool = formatCidr(named.pool);
    const { sharing } = this.#parts;
    const share = options.network === undefined ? undefined : sharing?.part(named.pool);
    const ownPart = named.subPool ?? share;
    const subPool = ownPart && formatCidr(ownPart);
    const blocksOf = ownPart === undefined ? options.network : undefined;
    const poolId = poolIdOf(space, pool, subPool);
    const held = ledger.find(poolId);
    if (held !== undefined && this.capabilities.requiresRequestReplay) return this.#replay(held);
    refuseOverlap(
      named.pool,
      ledger.pools().filter((entry) => entry.record.space === space),
    );
    const overlaps = this.#parts.hostBlocks().filter((block) => cidrsOverlap(block.cidr, named.pool));
    ledger.addPool(poolId, {
      ...this.#newRecord(space, request, pool, false),
      ...(subPool === undefined ? {} : { subPool }),
      ...(blocksOf === undefined ? {} : { blocksOf }),
      knownOverlaps: [...new Set(overlaps.map((block) => block.text))].sort(),
    });
    if (blocksOf !== undefined && sharing?.held(blocksOf, pool).length === 0) {
      await sharing.claim(blocksOf, pool).catch((error: unknown) => {
        ledger.dropPool(poolId);
        throw error;
      });
    }
    return { poolId, pool };
  }

  async releasePool({ poolId }: { readonly poolId: string }): Promise<void> {
    const { ledger, now } = this.#parts;
    if (ledger.dropPool(poolId)) ledger.releases.set(poolId, now());
  }

  async requestAddress(request: RequestAddressRequest): Promise<RequestAddressReply> {
    const entry = this.#findPool(request.poolId);
    await this.#ensureFree(request, entry);
    const now = this.#parts.now();
    const owner = ownerOf(request);
    const { value, record } = entry.pool.choose(
      {
        kind: kindOf(request, entry, now),
        ...(request.address === undefined ? {} : { address: parseAddress(request.address, entry) }),
        ...(owner === undefined ? {} : { owner }),
      },
      now,
    );
    const expired = entry.pool.expired(now).filter((old) => old !== value);
    // One transaction, and with it one fsync, for the new record and the old ones that it is time to forget.
    const forgotten = expired.map((old): AddressChange => [old, undefined]);
    this.#parts.ledger.change(entry, [...forgotten, [value, record]]);
    this.#parts.onUse(entry);
    return { address: `${addressText(entry.cidr.family, value)}/${entry.cidr.prefix}` };
  }

  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    const entry = this.#parts.ledger.find(poolId);
    const ip = findIp(address);
    if (entry === undefined || ip === undefined || ip.family !== entry.cidr.family) return;
    if (entry.pool.get(ip.value)?.state !== 'allocated') return;
    this.#parts.ledger.change(entry, [[ip.value, entry.pool.chooseRelease(ip.value, this.#parts.now())]]);
    this.#parts.onUse(entry);
  }

  /** Of a shared subnet: one block more when this host's are full. */
  async #ensureFree(request: RequestAddressRequest, { record, pool }: PoolEntry): Promise<void> {
    const { sharing } = this.#parts;
    if (record.blocksOf === undefined || sharing === undefined || request.isGateway) return;
    sharing.check();
    if (request.address === undefined && !pool.hasFree()) await sharing.claim(record.blocksOf, record.pool);
  }

  #addAutomatic(space: AddressSpace, request: RequestPoolRequest, options: PoolOptions): RequestPoolReply {
    const { ledger, config, hostBlocks } = this.#parts;
    // Both address spaces: what is chosen here may differ from everything.
    const taken = [...ledger.pools().map((entry) => entry.cidr), ...hostBlocks().map((block) => block.cidr)];
    const pool = formatCidr(chooseFreePool(request.v6, config(), options, taken));
    const poolId = poolIdOf(space, pool, undefined);
    ledger.addPool(poolId, this.#newRecord(space, request, pool, true));
    return { poolId, pool };
  }

  #newRecord(space: AddressSpace, request: RequestPoolRequest, pool: string, automatic: boolean): PoolRecord {
    return {
      space,
      pool,
      options: request.options,
      automatic,
      createdAt: this.#parts.now(),
      knownOverlaps: [],
      claims: {},
    };
  }

  /** An engine that starts asks for all that it has stored. */
  #replay(entry: PoolEntry): RequestPoolReply {
    entry.pool.expectReplay(this.#parts.now());
    return { poolId: entry.poolId, pool: entry.record.pool };
  }

  #findPool(poolId: string): PoolEntry {
    const entry = this.#parts.ledger.find(poolId);
    if (entry !== undefined) return entry;
    const shown = poolId.length > 120 ? `${poolId.slice(0, 117)}...` : poolId;
    throw new PluginError('IPAM_POOL_UNKNOWN', `there is no pool "${shown}"`, {
      hint: 'if the state of cleat-networkd was lost, wait a minute for its engine watcher or create the network again',
    });
  }
}

function parseSpace(text: string): AddressSpace {
  // Engines always name one of those that we told them; a body without it is no request of theirs.
  if (text === spaces.local) return spaces.local;
  if (text === spaces.global) return spaces.global;
  throw new PluginError('IPAM_ADDRESS_SPACE', `cleat-ipam has no address space "${text}"`, {
    hint: `it has ${spaces.local} and ${spaces.global}; create the network again`,
  });
}

function parseAddress(text: string, entry: PoolEntry): bigint {
  const ip = parseIp(text);
  if (ip.family === entry.cidr.family) return ip.value;
  throw new PluginError('IPAM_ADDRESS_OUTSIDE', `address ${text} is not in the pool ${formatCidr(entry.cidr)}`, {
    hint: `give an IPv${entry.cidr.family} address`,
  });
}

/**
 * Auxiliary addresses look like those of containers with `--ip`, but come before the network exists: nobody claims the pool
 * yet, and it is seconds old. Where that is a wrong guess, an engine's report puts it right.
 */
function kindOf(request: RequestAddressRequest, entry: PoolEntry, now: number): AddressKind {
  if (request.isGateway) return 'gateway';
  const { claims, createdAt } = entry.record;
  const named = request.address !== undefined && request.options[containerNameOption] === undefined;
  return named && Object.keys(claims).length === 0 && now < createdAt + creationMs ? 'auxiliary' : 'endpoint';
}

function ownerOf(request: RequestAddressRequest): string | undefined {
  if (request.isGateway) return undefined;
  const name = request.options[containerNameOption];
  if (name !== undefined && name !== '') return `name:${name}`;
  const mac = request.macAddress === undefined ? undefined : findMac(request.macAddress);
  return mac === undefined ? undefined : `mac:${mac}`;
}
