/**
 * cleat-dhcp: an IPAM driver whose addresses are leases of the LAN's own DHCP server, got on the parent interface before the
 * container has its link, and kept up for as long as it runs.
 *
 * Identity: a container whose name the engine tells is one client for ever, whatever MAC it gets; else the MAC is the client.
 */
import { createHash, randomUUID } from 'node:crypto';
import { listAddresses } from '../../linux/netlink/address.ts';
import { findLink, type Link, listLinks } from '../../linux/netlink/link.ts';
import { listRoutes } from '../../linux/netlink/route.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { choice, duration, type OptionSchema, parseOptions, text } from '../../sdk/index.ts';
import type {
  IpamDriver,
  RequestAddressReply,
  RequestAddressRequest,
  RequestPoolReply,
  RequestPoolRequest,
} from '../../sdk/ipam-plugin.ts';
import { cidrAround, cidrHasIp, formatCidr, parseCidr } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';
import { randomMac } from '../address/mac.ts';
import { containerNameOption } from '../ipam/driver.ts';
import { type DhcpClient, discover, request } from './client.ts';
import type { Leases } from './leases.ts';
import type { DhcpReply } from './message.ts';
import type { DhcpPoolRecord, LeaseRecord } from './records.ts';

export const driverName = 'cleat-dhcp';

export const poolSchema = {
  parent: text('parent', {
    pattern: /^[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}$/,
    expected: 'the name of an interface of this host',
  }),
  linger: duration('linger', { min: 0, max: 86_400_000, otherwise: 30_000 }),
  hostName: choice('hostname', ['on', 'off'], { otherwise: 'on' }),
} satisfies OptionSchema;

export class DhcpIpam implements IpamDriver {
  readonly capabilities = { requiresMacAddress: true, requiresRequestReplay: false } as const;
  readonly #leases: Leases;
  readonly #socket: RouteSocket;

  constructor(leases: Leases, socket: RouteSocket) {
    this.#leases = leases;
    this.#socket = socket;
  }

  async getDefaultAddressSpaces(): Promise<{ local: string; global: string }> {
    return { local: driverName, global: `${driverName}-global` };
  }

  async requestPool(wanted: RequestPoolRequest, signal: AbortSignal): Promise<RequestPoolReply> {
    if (wanted.v6) {
      throw new PluginError('PROTO_UNSUPPORTED', 'cleat-dhcp gives out IPv4 leases', {
        hint: 'leave --ipv6 away: router advertisements reach the containers all the same',
      });
    }
    const options = parseOptions(poolSchema, wanted.options, { driver: driverName });
    const parent = this.#findParent(options.parent, wanted.pool);
    // Asked in any case: a network whose server does not answer is better refused now than at its first container.
    const offer = await discover(
      { link: parent.index, linkName: parent.name, mac: randomMac(), clientId: Buffer.from(`\0${randomUUID()}`) },
      undefined,
      signal,
    );
    const { pool } = wanted;
    if (pool === undefined) {
      // Engines ask again and again for a pool that is no route of the host, and a LAN always is.
      const served = offeredPool(offer);
      throw new PluginError(
        'IPAM_POOL_INVALID',
        `cleat-dhcp needs the subnet of the LAN${served ? `, and the server on ${parent.name} serves ${served}` : ''}`,
        {
          hint: `give --subnet ${served ?? 'SUBNET'}`,
        },
      );
    }
    const router = offer.routers.find((address) => cidrHasIp(parseCidr(pool), parseIp(address)));
    const gateway = router === undefined ? undefined : `${router}/${pool.split('/')[1]}`;
    const record: DhcpPoolRecord = {
      poolId: `${driverName}/${parent.name}/${randomUUID()}`,
      pool,
      parent: parent.name,
      ...(gateway !== undefined && { gateway }),
      lingerMs: options.linger,
      hostNames: options.hostName === 'on',
    };
    this.#leases.records.pools.put(record.poolId, record);
    return { poolId: record.poolId, pool, ...(gateway !== undefined && { gateway }) };
  }

  async releasePool({ poolId }: { readonly poolId: string }): Promise<void> {
    for (const lease of this.#leases.of(poolId)) this.#leases.giveBack(lease);
    this.#leases.records.pools.delete(poolId);
  }

  async requestAddress(wanted: RequestAddressRequest, signal: AbortSignal): Promise<RequestAddressReply> {
    const pool = this.#pool(wanted.poolId);
    const prefix = pool.pool.split('/')[1];
    const { address: given, macAddress: mac } = wanted;
    // Gateways and reserved addresses are not leased: they belong to somebody who has them anyway.
    if (wanted.isGateway || mac === undefined) {
      const address = given ?? pool.gateway?.split('/')[0];
      if (address !== undefined) return { address: `${address}/${prefix}` };
      throw new PluginError('DHCP_NO_SERVER', 'the DHCP server named no router', { hint: 'give --gateway' });
    }
    const container = wanted.options[containerNameOption];
    const clientId = clientIdOf(container, mac);
    const parked = this.#leases
      .of(pool.poolId)
      .find((lease) => lease.clientId === clientId.toString('hex') && (given === undefined || lease.address === given));
    const lease =
      parked === undefined ? await this.#obtain(pool, mac, clientId, container, given, signal) : { ...parked, mac };
    const { releasedAt: _parked, ...live } = lease;
    this.#leases.keep(live);
    return { address: `${live.address}/${prefix}` };
  }

  /** The lease stays for a while: a container that restarts asks for it again at once. */
  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    this.#leases.park(poolId, address);
  }

  async #obtain(
    pool: DhcpPoolRecord,
    mac: string,
    clientId: Buffer,
    container: string | undefined,
    given: string | undefined,
    signal: AbortSignal,
  ): Promise<LeaseRecord> {
    const parent = this.#findParent(pool.parent, undefined);
    const client: DhcpClient = {
      link: parent.index,
      linkName: parent.name,
      mac,
      clientId,
      ...(pool.hostNames && container !== undefined && { hostName: container }),
    };
    const offer = await discover(client, given, signal);
    if (given !== undefined && offer.address !== given) {
      throw new PluginError('DHCP_REFUSED', `the DHCP server offers ${offer.address} and not ${given}`, {
        hint: `reserve ${given} at the server for this container, or leave --ip away`,
      });
    }
    if (!cidrHasIp(parseCidr(pool.pool), parseIp(offer.address))) {
      throw new PluginError(
        'DHCP_REFUSED',
        `the DHCP server offers ${offer.address}, which is outside the network's ${pool.pool}`,
        { hint: 'create the network again without --subnet' },
      );
    }
    const reply = await request(client, offer.address, offer.serverId, signal);
    if (reply.type === 'nak')
      throw new PluginError(
        'DHCP_REFUSED',
        `the DHCP server refused ${offer.address}${reply.message ? `: ${reply.message}` : ''}`,
        { hint: 'start the container again' },
      );
    return leaseOf(pool.poolId, mac, clientId, container, reply);
  }

  #pool(poolId: string): DhcpPoolRecord {
    const pool = this.#leases.records.pools.get(poolId);
    if (pool !== undefined) return pool;
    throw new PluginError('IPAM_POOL_UNKNOWN', `cleat-dhcp has no record of the pool ${poolId}`, {
      hint: 'remove the network and create it again',
    });
  }

  /** The one named; else the one with an address in the subnet; else the one that the default route goes by. */
  #findParent(name: string | undefined, pool: string | undefined): Link {
    const found = name === undefined ? this.#guessParent(pool) : findLink(this.#socket, name);
    if (found !== undefined) return found;
    const which =
      name === undefined
        ? 'no interface to ask on was named, and none can be guessed'
        : `parent interface "${name}" does not exist on this host`;
    throw new PluginError('NET_PARENT_NOT_FOUND', which, {
      hint: 'pass --ipam-opt parent=INTERFACE, the same as -o parent',
    });
  }

  #guessParent(pool: string | undefined): Link | undefined {
    const byRoute = () =>
      listRoutes(this.#socket, { family: 4 }).find(
        ({ destination, link }) => destination === '0.0.0.0/0' && link !== undefined,
      )?.link;
    const inPool = () =>
      pool === undefined
        ? undefined
        : listAddresses(this.#socket, { family: 4 }).find(({ address }) => cidrHasIp(parseCidr(pool), parseIp(address)))
            ?.link;
    const index = inPool() ?? byRoute();
    return listLinks(this.#socket).find((link) => link.index === index);
  }
}

export function leaseOf(
  poolId: string,
  mac: string,
  clientId: Buffer,
  container: string | undefined,
  reply: DhcpReply,
): LeaseRecord {
  const forever = reply.leaseSeconds === undefined || reply.leaseSeconds === 0xffffffff;
  return {
    poolId,
    address: reply.address,
    mac,
    clientId: clientId.toString('hex'),
    ...(container !== undefined && { container }),
    serverId: reply.serverId ?? '255.255.255.255',
    obtainedAt: Date.now(),
    // RFC 2131 §4.4.5: T1 is half of the lease unless the server says otherwise.
    ...(!forever && {
      leaseSeconds: reply.leaseSeconds,
      renewSeconds: reply.renewalSeconds ?? Math.floor((reply.leaseSeconds ?? 0) / 2),
    }),
    dns: reply.dns,
    ...(reply.mtu !== undefined && { mtu: reply.mtu }),
  };
}

/** Type 0 and our own identifier for a named container, else type 1 and the MAC. RFC 2132 §9.14. */
function clientIdOf(container: string | undefined, mac: string): Buffer {
  if (container === undefined) return Buffer.from(`01${mac.replaceAll(':', '')}`, 'hex');
  return Buffer.concat([
    Buffer.from([0]),
    createHash('sha256').update(`cleat container ${container}`).digest().subarray(0, 16),
  ]);
}

/** CIDR; undefined when the server names no mask. */
function offeredPool(offer: DhcpReply): string | undefined {
  return offer.subnetMask === undefined
    ? undefined
    : formatCidr(cidrAround(parseIp(offer.address), ipBits(offer.subnetMask)));
}

function ipBits(mask: string): number {
  return mask
    .split('.')
    .map((byte) => Number(byte).toString(2).replaceAll('0', '').length)
    .reduce((sum, bits) => sum + bits, 0);
}
