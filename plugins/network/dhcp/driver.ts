/**
 * cleat-dhcp: an IPAM driver whose addresses are leases of the LAN's own DHCP servers, got on the parent interface before the
 * container has its link, and kept up for as long as it runs. A pool is of one family: IPv4 asks DHCPv4, IPv6 DHCPv6.
 */
import { randomUUID } from 'node:crypto';
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
import { cidrHasIp, parseCidr } from '../address/cidr.ts';
import { addToIp, formatIp, parseIp } from '../address/ip.ts';
import { randomMac } from '../address/mac.ts';
import { containerNameOption } from '../ipam/driver.ts';
import type { AddressGuard } from '../neighbour/address-guard.ts';
import { clientId4, duid6, iaidOf } from './identity.ts';
import type { Leases } from './leases.ts';
import type { DhcpAsker, DhcpGrant, DhcpProtocol } from './protocol.ts';
import type { DhcpPoolRecord, LeaseRecord } from './records.ts';
import { Seekers } from './seekers.ts';

export const driverName = 'cleat-dhcp';

/** A server that does not know of somebody with a fixed address offers it again and again until it is declined. */
const attempts = 3;

export const poolSchema = {
  parent: text('parent', {
    pattern: /^[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}$/,
    expected: 'the name of an interface of this host',
  }),
  linger: duration('linger', { min: 0, max: 86_400_000, otherwise: 30_000 }),
  hostName: choice('hostname', ['on', 'off'], { otherwise: 'on' }),
} satisfies OptionSchema;

/** Who asks for an address. */
interface Client {
  readonly mac: string;
  readonly container: string | undefined;
  /** Hexadecimal. */
  readonly clientId: string;
}

export class DhcpIpam implements IpamDriver {
  readonly capabilities = { requiresMacAddress: true, requiresRequestReplay: false } as const;
  readonly #leases: Leases;
  readonly #socket: RouteSocket;
  readonly #guard: AddressGuard;
  readonly #seekers: Seekers;

  constructor(leases: Leases, socket: RouteSocket, guard: AddressGuard) {
    this.#leases = leases;
    this.#socket = socket;
    this.#guard = guard;
    this.#seekers = new Seekers();
  }

  close(): void {
    this.#seekers.close();
  }

  async getDefaultAddressSpaces(): Promise<{ local: string; global: string }> {
    return { local: driverName, global: `${driverName}-global` };
  }

  async requestPool(wanted: RequestPoolRequest, signal: AbortSignal): Promise<RequestPoolReply> {
    const options = parseOptions(poolSchema, wanted.options, { driver: driverName });
    const parent = this.#findParent(options.parent, wanted.pool);
    // Asked in any case: a network whose server does not answer is better refused now than at its first container.
    const offer = await this.#look(parent, wanted.v6, signal);
    const { pool } = wanted;
    if (pool === undefined) {
      // Engines ask again and again for a pool that is no route of the host, and a LAN always is.
      const served = offer.subnet ?? (wanted.v6 ? `the subnet of ${offer.address}` : undefined);
      throw new PluginError(
        'IPAM_POOL_INVALID',
        `cleat-dhcp needs the subnet of the LAN${served ? `, and the server on ${parent.name} serves ${served}` : ''}`,
        { hint: `give --subnet ${offer.subnet ?? 'SUBNET'}` },
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
      return { address: `${given ?? pool.gateway?.split('/')[0] ?? this.#standIn(pool)}/${prefix}` };
    }
    const container = wanted.options[containerNameOption];
    const identity = pool.pool.includes(':') ? duid6(container, mac) : clientId4(container, mac);
    const client: Client = { mac, container, clientId: identity.toString('hex') };
    const seeker = `${pool.poolId} ${container === undefined ? '' : client.clientId}`;
    this.#seekers.end(seeker);
    const ours = this.#leases
      .of(pool.poolId)
      .find((lease) => lease.clientId === client.clientId && (given === undefined || lease.address === given));
    const nameless = container === undefined && given === undefined;
    const known = ours ?? (nameless ? this.#leases.findReturning(pool.poolId) : undefined);
    if (known !== undefined && !this.#leases.hasEnded(known)) {
      this.#leases.keep(heldBy(known, client));
      return { address: `${known.address}/${prefix}` };
    }
    try {
      // One that ended while nobody used it is asked for anew, by the client that it was given to.
      const asking = known === undefined ? client : { container, mac: known.mac, clientId: known.clientId };
      const lease = await this.#obtain(pool, asking, given, signal);
      if (known !== undefined && known.address !== lease.address) this.#leases.forget(known);
      this.#leases.keep(heldBy(lease, client));
      return { address: `${lease.address}/${prefix}` };
    } catch (error) {
      // The engine's next try finds the lease, if the server comes back before it.
      if (signal.aborted || hasCode(error, 'DHCP_NO_SERVER')) {
        this.#seekers.start(seeker, async (end) => {
          const lease = await this.#obtain(pool, client, given, end);
          this.#leases.keep({ ...lease, releasedAt: Date.now() });
        });
      }
      throw error;
    }
  }

  /** The lease stays for a while: a container that restarts asks for it again at once. */
  async releaseAddress({ poolId, address }: { readonly poolId: string; readonly address: string }): Promise<void> {
    this.#leases.park(poolId, address);
  }

  /** A lease of an address that nobody on the LAN answers for (RFC 2131 §3.1 step 5, RFC 8415 §18.2.10.1). */
  async #obtain(
    pool: DhcpPoolRecord,
    client: Client,
    given: string | undefined,
    signal: AbortSignal,
  ): Promise<LeaseRecord> {
    const protocol = this.#leases.protocolOf(pool);
    const asker = this.#leases.asker(pool, client);
    if (asker === undefined) throw parentMissing(pool.parent);
    for (let attempt = 1; ; attempt += 1) {
      const grant = await protocol.obtain(asker, given, signal);
      const lease = leaseOf(pool.poolId, client, grant);
      if (!cidrHasIp(parseCidr(pool.pool), parseIp(grant.address))) {
        await protocol.release(asker, grant, signal);
        throw new PluginError(
          'DHCP_REFUSED',
          `the DHCP server gives ${grant.address}, which is outside the network's ${pool.pool}`,
          { hint: 'create the network again with the subnet that the server serves' },
        );
      }
      try {
        await this.#askForDuplicates(asker, grant, signal);
        return lease;
      } catch (error) {
        if (!hasCode(error, 'NET_ADDRESS_DUPLICATE')) throw error;
        protocol.decline(asker, grant);
        if (attempt === attempts || given !== undefined) throw error;
      }
    }
  }

  async #askForDuplicates({ link }: DhcpAsker, { address }: DhcpGrant, signal: AbortSignal): Promise<void> {
    const parent = findLink(this.#socket, link);
    if (parent !== undefined) await this.#guard.ask({ link, mac: parent.mac }, [address], [], signal);
  }

  async #look(parent: Link, v6: boolean, signal: AbortSignal): Promise<DhcpGrant> {
    const mac = randomMac();
    const protocol: DhcpProtocol = this.#leases.protocolOf({ pool: v6 ? '::/0' : '0.0.0.0/0' });
    const asker = {
      link: parent.index,
      linkName: parent.name,
      mac,
      clientId: v6 ? duid6(undefined, mac) : clientId4(randomUUID(), mac),
      iaid: iaidOf({ parent: parent.name, pool: '' }),
    };
    return protocol.look(asker, signal);
  }

  /** Engines before 28 insist on a gateway. Where DHCP knows none (IPv6 never does) routers announce themselves. */
  #standIn(pool: DhcpPoolRecord): string {
    if (!pool.pool.includes(':'))
      throw new PluginError('DHCP_NO_SERVER', 'the DHCP server named no router', { hint: 'give --gateway' });
    const { family, network } = parseCidr(pool.pool);
    const standIn = formatIp(addToIp({ family, value: network }, 1));
    this.#leases.records.pools.put(pool.poolId, { ...pool, standIn });
    return standIn;
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
    if (found === undefined) throw parentMissing(name);
    return found;
  }

  #guessParent(pool: string | undefined): Link | undefined {
    const family = pool?.includes(':') ? 6 : 4;
    const byRoute = () =>
      listRoutes(this.#socket, { family }).find(
        ({ destination, link }) => (destination === '0.0.0.0/0' || destination === '::/0') && link !== undefined,
      )?.link;
    const inPool = () =>
      pool === undefined
        ? undefined
        : listAddresses(this.#socket, { family }).find(({ address }) => cidrHasIp(parseCidr(pool), parseIp(address)))
            ?.link;
    const index = inPool() ?? byRoute();
    return listLinks(this.#socket).find((link) => link.index === index);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof PluginError && error.code === code;
}

function parentMissing(name: string | undefined): PluginError {
  const which =
    name === undefined
      ? 'no interface to ask on was named, and none can be guessed'
      : `parent interface "${name}" does not exist on this host`;
  return new PluginError('NET_PARENT_NOT_FOUND', which, {
    hint: 'pass --ipam-opt parent=INTERFACE, the same as -o parent',
  });
}

/** In use by the client, whose MAC may be another one than the lease was got with: the servers go on knowing that one. */
function heldBy({ releasedAt: _parked, holder: _before, ...lease }: LeaseRecord, client: Client): LeaseRecord {
  if (client.container !== undefined) return { ...lease, mac: client.mac };
  return { ...lease, ...(client.mac !== lease.mac && { holder: client.mac }) };
}

function leaseOf(poolId: string, { mac, clientId, container }: Client, grant: DhcpGrant): LeaseRecord {
  const { routers: _routers, subnet: _subnet, ...rest } = grant;
  return { ...rest, poolId, mac, clientId, ...(container !== undefined && { container }), obtainedAt: Date.now() };
}
