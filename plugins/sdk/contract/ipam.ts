/** Conformance of an IPAM plugin. Takes pools inside a range of its own and gives everything back. */
import ipaddr from 'ipaddr.js';
import type { RequestAddressRequest, RequestPoolReply, RequestPoolRequest } from '../ipam-plugin.ts';
import { type ContractReport, ContractRun, expect, NotApplicable } from './report.ts';
import { Subject, type SubjectOptions } from './subject.ts';
import { checkAlive, checkTransport } from './transport-checks.ts';

export interface IpamSuiteOptions extends SubjectOptions {
  /** `--ipam-opt`, where the driver needs some. */
  readonly options?: Readonly<Record<string, string>>;
  /** IPv4 range of at least /16 whose parts the suite asks for; default 198.18.0.0/16 (RFC 2544, benchmarks). */
  readonly range?: string;
  /** false: the driver hands out the same address for the same pool, or leaves addresses to someone else. */
  readonly explicitPools?: boolean;
}

const CASES = {
  bodyless: 'IpamDriver.GetDefaultAddressSpaces',
  needsBody: ['RequestPool', 'ReleasePool', 'RequestAddress', 'ReleaseAddress'].map((method) => `IpamDriver.${method}`),
  wrongTypes: [
    ['IpamDriver.RequestPool', { AddressSpace: 'local', Pool: 5, SubPool: '', Options: {}, V6: false }],
    ['IpamDriver.RequestPool', { AddressSpace: 'local', Pool: 'no pool', SubPool: '', Options: {}, V6: false }],
    ['IpamDriver.RequestPool', { AddressSpace: 'local', Pool: '198.18.0.0/99', SubPool: '', Options: {}, V6: false }],
    ['IpamDriver.RequestAddress', { PoolID: {}, Address: '', Options: null }],
    ['IpamDriver.RequestAddress', { PoolID: 'x', Address: 'no address', Options: null }],
    ['IpamDriver.ReleaseAddress', { PoolID: 'x', Address: ['192.0.2.1'] }],
  ],
} as const;

/** Tests the plugin behind the socket; the report has the reason for each failure. */
export async function testIpamPlugin(options: IpamSuiteOptions): Promise<ContractReport> {
  const subject = new Subject('ipam', options);
  const run = new ContractRun('ipam', options.socket, options.onResult);
  try {
    await checkTransport(run, subject, CASES);
    await new IpamSuite(run, subject, options).run();
    await checkAlive(run, subject, CASES.bodyless);
  } finally {
    subject.close();
  }
  return run.report;
}

class IpamSuite {
  readonly #run: ContractRun;
  readonly #subject: Subject;
  readonly #options: IpamSuiteOptions;
  #nextPool = 1;
  #addressSpace = 'local';

  constructor(run: ContractRun, subject: Subject, options: IpamSuiteOptions) {
    this.#run = run;
    this.#subject = subject;
    this.#options = options;
  }

  get #ipam() {
    return this.#subject.client.ipam;
  }

  async run(): Promise<void> {
    await this.#run.check('the two default address spaces have different names', async () => {
      const spaces = await this.#ipam.getDefaultAddressSpaces();
      this.#addressSpace = spaces.local;
      expect(spaces.local !== '' && spaces.global !== '', 'a default address space has no name');
      expect(
        spaces.local !== spaces.global,
        `both are "${spaces.local}"; global pools are not compared with host routes`,
      );
    });
    await this.#pools();
    await this.#addresses();
    await this.#releases();
    await this.#concurrency();
  }

  /** Another /24 of the range at each call. */
  #freshRange(prefixLength = 24): string {
    const [base] = ipaddr.parseCIDR(this.#options.range ?? '198.18.0.0/16');
    const bytes = base.toByteArray();
    bytes[2] = this.#nextPool++;
    return `${ipaddr.fromByteArray(bytes)}/${prefixLength}`;
  }

  #request(more: Partial<RequestPoolRequest> = {}): RequestPoolRequest {
    return { addressSpace: this.#addressSpace, options: this.#options.options ?? {}, v6: false, ...more };
  }

  #addressRequest(poolId: string, address?: string): RequestAddressRequest {
    return { poolId, isGateway: false, serial: false, options: {}, ...(address === undefined ? {} : { address }) };
  }

  async #withPool(more: Partial<RequestPoolRequest>, body: (pool: RequestPoolReply) => Promise<void>): Promise<void> {
    const pool = await this.#ipam.requestPool(this.#request(more));
    try {
      await body(pool);
    } finally {
      await this.#ipam.releasePool({ poolId: pool.poolId });
    }
  }

  async #withRange(body: (pool: RequestPoolReply) => Promise<void>): Promise<void> {
    await this.#withPool({ pool: this.#freshRange() }, body);
  }

  async #pools(): Promise<void> {
    await this.#run.check('a given pool is answered in CIDR form with an identifier', () =>
      this.#withPool({ pool: this.#freshRange() }, async (pool) => {
        expect(pool.poolId !== '', 'the reply has no PoolID');
        const asked = `${this.#nextPool - 1}.0/24`;
        expect(pool.pool.endsWith(asked), `asked for a pool that ends in ${asked}, got ${pool.pool}`);
      }),
    );
    await this.#run.check('each request without a pool gets another one, or an error when none is left', async () => {
      const pools: RequestPoolReply[] = [];
      try {
        for (let round = 0; round < 4; round += 1) {
          const pool = await this.#ipam.requestPool(this.#request());
          const same = pools.find((earlier) => overlap(earlier.pool, pool.pool));
          pools.push(pool);
          const why =
            'engines ask again while they hold a pool that overlaps with a route of the host, and would never end';
          expect(same === undefined, `${pool.pool} overlaps ${same?.pool}, which is still held; ${why}`);
        }
      } finally {
        for (const { poolId } of pools) await this.#ipam.releasePool({ poolId });
      }
    });
    await this.#run.check('an IPv6 pool is answered with IPv6', () =>
      this.#withPool({ pool: 'fd00:c1ea:7::/64', v6: true }, async (pool) => {
        expect(pool.pool.includes(':'), `asked for an IPv6 pool, got ${pool.pool}`);
        const { address } = await this.#ipam.requestAddress(this.#addressRequest(pool.poolId));
        expect(contains(pool.pool, address), `${address} is not in ${pool.pool}`);
        await this.#ipam.releaseAddress({ poolId: pool.poolId, address: bare(address) });
      }),
    );
  }

  async #addresses(): Promise<void> {
    await this.#run.check("addresses carry the pool's prefix length and differ", () =>
      this.#withRange(async (pool) => {
        const taken = new Set<string>();
        const [network] = ipaddr.parseCIDR(pool.pool);
        for (let round = 0; round < 10; round += 1) {
          const { address } = await this.#ipam.requestAddress(this.#addressRequest(pool.poolId));
          expect(contains(pool.pool, address), `${address} is not in ${pool.pool}`);
          expect(lengthOf(address) === lengthOf(pool.pool), `${address} has not the prefix length of ${pool.pool}`);
          expect(!taken.has(address), `${address} was handed out twice`);
          expect(bare(address) !== network.toString(), `${address} is the address of the network itself`);
          taken.add(address);
        }
        for (const address of taken) await this.#release(pool, address);
      }),
    );
    await this.#run.check('a gateway is handed out, and not to a container afterwards', () =>
      this.#withRange(async (pool) => {
        const request = { ...this.#addressRequest(pool.poolId), isGateway: true };
        const gateway = (await this.#ipam.requestAddress(request)).address;
        expect(contains(pool.pool, gateway), `the gateway ${gateway} is not in ${pool.pool}`);
        const { address } = await this.#ipam.requestAddress(this.#addressRequest(pool.poolId));
        expect(bare(address) !== bare(gateway), `a container got the address of the gateway, ${gateway}`);
        await this.#release(pool, address);
        await this.#release(pool, gateway);
      }),
    );
    await this.#run.check('a given address is answered as asked, and is not handed out again', () =>
      this.#withRange(async (pool) => {
        const wanted = hostOf(pool.pool, 77);
        const { address } = await this.#ipam.requestAddress(this.#addressRequest(pool.poolId, wanted));
        expect(bare(address) === wanted, `asked for ${wanted}, got ${address}`);
        const { requiresRequestReplay } = await this.#ipam.getCapabilities();
        const again = () => this.#ipam.requestAddress(this.#addressRequest(pool.poolId, wanted));
        // With replay, the same request may be the engine telling what it holds.
        if (!requiresRequestReplay) await this.#subject.expectError(again, `a second request for ${wanted}`);
        await this.#release(pool, address);
        const { address: back } = await again();
        expect(bare(back) === wanted, `asked for ${wanted} after its release, got ${back}`);
        await this.#release(pool, back);
      }),
    );
    await this.#run.check('an address outside the pool is an error', () =>
      this.#withRange(async (pool) => {
        const outside = this.#ipam.requestAddress.bind(undefined, this.#addressRequest(pool.poolId, '203.0.113.9'));
        await this.#subject.expectError(outside, `203.0.113.9 in the pool ${pool.pool}`);
      }),
    );
    await this.#run.check('with a sub-pool, chosen addresses come from it and given ones may lie outside', async () => {
      const pool = this.#freshRange();
      const subPool = pool.replace('.0/24', '.64/26');
      await this.#withPool({ pool, subPool }, async (reply) => {
        const { address } = await this.#ipam.requestAddress(this.#addressRequest(reply.poolId));
        expect(contains(subPool, address), `${address} is not in the sub-pool ${subPool}`);
        expect(lengthOf(address) === 24, `${address} must carry the prefix length of the pool, 24`);
        const wanted = hostOf(pool, 200);
        const given = await this.#ipam.requestAddress(this.#addressRequest(reply.poolId, wanted));
        expect(bare(given.address) === wanted, `asked for ${wanted} outside the sub-pool, got ${given.address}`);
        await this.#release(reply, address);
        await this.#release(reply, given.address);
      });
    });
    await this.#run.check('a full pool is an error, not the same address again', () =>
      this.#withPool({ pool: this.#freshRange(29) }, async (pool) => {
        const taken = new Set<string>();
        const fill = async () => {
          for (let round = 0; round < 9; round += 1) {
            const { address } = await this.#ipam.requestAddress(this.#addressRequest(pool.poolId));
            expect(!taken.has(address), `${address} was handed out twice when the pool ran full`);
            taken.add(address);
          }
        };
        await this.#subject.expectError(fill, `nine addresses from ${pool.pool}`);
        for (const address of taken) await this.#release(pool, address);
      }),
    );
    await this.#run.check('a request for an unknown pool is an error', async () => {
      const request = () => this.#ipam.requestAddress(this.#addressRequest('cleat-contract-no-such-pool'));
      await this.#subject.expectError(request, 'an address from a pool that does not exist');
    });
  }

  async #releases(): Promise<void> {
    await this.#run.check('releases succeed for what is unknown or released: it may be the second try', async () => {
      await this.#withRange(async (pool) => {
        await this.#release(pool, hostOf(pool.pool, 99));
        await this.#release(pool, hostOf(pool.pool, 99));
        await this.#ipam.releasePool({ poolId: pool.poolId });
        await this.#release(pool, hostOf(pool.pool, 99));
      });
      await this.#ipam.releasePool({ poolId: 'cleat-contract-no-such-pool' });
      await this.#ipam.releaseAddress({ poolId: 'cleat-contract-no-such-pool', address: '192.0.2.9' });
    });
    await this.#run.check('a released pool can be had again', async () => {
      const pool = this.#freshRange();
      for (let round = 0; round < 3; round += 1) await this.#withPool({ pool }, async () => undefined);
    });
    await this.#run.check('null and missing options mean the same', async () => {
      if (this.#options.options !== undefined) throw new NotApplicable('the driver needs options');
      for (const options of ['"Options":null,', '"Options":{},', '']) {
        const body = `{"AddressSpace":"${this.#addressSpace}","Pool":"${this.#freshRange()}",${options}"V6":false}`;
        const reply = await this.#subject.send({ method: 'IpamDriver.RequestPool', body });
        const error = this.#subject.errorIn(reply);
        expect(error === undefined, `RequestPool with ${options || 'no Options'} was refused: ${error}`);
        await this.#ipam.releasePool({ poolId: String(reply.body?.['PoolID']) });
      }
    });
  }

  async #concurrency(): Promise<void> {
    await this.#run.check('twenty requests at the same time get twenty addresses', () =>
      this.#withRange(async (pool) => {
        const request = this.#addressRequest(pool.poolId);
        const replies = await Promise.all(Array.from({ length: 20 }, () => this.#ipam.requestAddress(request)));
        const distinct = new Set(replies.map((reply) => reply.address));
        for (const address of distinct) await this.#release(pool, address);
        expect(distinct.size === 20, `20 requests at the same time got ${distinct.size} different addresses`);
      }),
    );
    await this.#run.check('requests for pools at the same time get different ones', async () => {
      const pools = await Promise.all(Array.from({ length: 4 }, () => this.#ipam.requestPool(this.#request())));
      for (const { poolId } of pools) await this.#ipam.releasePool({ poolId });
      const distinct = new Set(pools.map((pool) => pool.pool));
      expect(distinct.size === 4, `4 requests at the same time got the pools ${[...distinct].join(', ')}`);
    });
  }

  async #release(pool: RequestPoolReply, address: string): Promise<void> {
    await this.#ipam.releaseAddress({ poolId: pool.poolId, address: bare(address) });
  }
}

function bare(cidr: string): string {
  return cidr.split('/')[0] ?? cidr;
}

function lengthOf(cidr: string): number {
  return Number(cidr.split('/')[1]);
}

/** The address with this last octet in an IPv4 range. */
function hostOf(range: string, last: number): string {
  return bare(range).replace(/\d+$/, String(last));
}

function contains(range: string, address: string): boolean {
  const inside = ipaddr.parse(bare(address));
  const [network, length] = ipaddr.parseCIDR(range);
  return inside.kind() === network.kind() && inside.match(network, length);
}

function overlap(a: string, b: string): boolean {
  return contains(a, b) || contains(b, a);
}
