/**
 * Conformance of a network plugin. Plays the engine on networks of its own. Run it as root in the plugin's network namespace:
 * then links are really moved into sandboxes, and two of them ping each other; elsewhere those checks are skipped.
 */
import { randomBytes } from 'node:crypto';
import type { CreateEndpointRequest, CreateNetworkRequest, EndpointInterface, JoinReply } from '../network-plugin.ts';
import { type ContractReport, ContractRun, expect, NotApplicable } from './report.ts';
import { linkNames, Sandbox, whyNoSandbox } from './sandbox.ts';
import { Subject, type SubjectOptions, shorten } from './subject.ts';
import { checkAlive, checkTransport } from './transport-checks.ts';

export interface NetworkSuiteOptions extends SubjectOptions {
  /** The `-o` options of every network, where the driver needs some. */
  readonly options?: Readonly<Record<string, string>>;
  /** IPv4 range of at least /16 whose parts become networks; default 198.19.0.0/16 (RFC 2544, benchmarks). */
  readonly range?: string;
  /** false: move no links, such as when the plugin runs in another namespace. */
  readonly kernel?: boolean;
  /** Also make a network of both families and reach an endpoint over each. */
  readonly ipv6?: boolean;
  /** false: endpoints of one network are not meant to reach each other. */
  readonly reachable?: boolean;
}

const NETWORK = '0'.repeat(64);
const CASES = {
  bodyless: 'NetworkDriver.GetCapabilities',
  needsBody: [
    'CreateNetwork',
    'DeleteNetwork',
    'CreateEndpoint',
    'DeleteEndpoint',
    'EndpointOperInfo',
    'Join',
    'Leave',
    'ProgramExternalConnectivity',
    'RevokeExternalConnectivity',
  ].map((method) => `NetworkDriver.${method}`),
  wrongTypes: [
    ['NetworkDriver.CreateNetwork', { NetworkID: 5, Options: {}, IPv4Data: [], IPv6Data: [] }],
    ['NetworkDriver.CreateNetwork', { NetworkID: NETWORK, Options: 'text', IPv4Data: [], IPv6Data: [] }],
    ['NetworkDriver.CreateNetwork', { NetworkID: NETWORK, Options: {}, IPv4Data: 'text', IPv6Data: [] }],
    ['NetworkDriver.CreateEndpoint', { NetworkID: NETWORK, EndpointID: [], Interface: {}, Options: {} }],
    ['NetworkDriver.CreateEndpoint', { NetworkID: NETWORK, EndpointID: NETWORK, Interface: 'text', Options: {} }],
    ['NetworkDriver.Join', { NetworkID: NETWORK, EndpointID: NETWORK, SandboxKey: {}, Options: {} }],
    ['NetworkDriver.DeleteNetwork', { NetworkID: {} }],
  ],
} as const;

/** Tests the plugin behind the socket; the report has the reason for each failure. */
export async function testNetworkPlugin(options: NetworkSuiteOptions): Promise<ContractReport> {
  const subject = new Subject('network', options);
  const run = new ContractRun('network', options.socket, options.onResult);
  try {
    await checkTransport(run, subject, CASES);
    await new NetworkSuite(run, subject, options).run();
    await checkAlive(run, subject, CASES.bodyless);
  } finally {
    subject.close();
  }
  return run.report;
}

const newId = () => randomBytes(32).toString('hex');

interface Endpoint {
  readonly request: CreateEndpointRequest;
  readonly filled: EndpointInterface;
}

class NetworkSuite {
  readonly #run: ContractRun;
  readonly #subject: Subject;
  readonly #options: NetworkSuiteOptions;
  #nextRange = 1;
  #nextHost = 2;
  #noSandbox: string | undefined;

  constructor(run: ContractRun, subject: Subject, options: NetworkSuiteOptions) {
    this.#run = run;
    this.#subject = subject;
    this.#options = options;
  }

  get #driver() {
    return this.#subject.client.network;
  }

  async run(): Promise<void> {
    this.#noSandbox = this.#options.kernel === false ? 'switched off' : await whyNoSandbox();
    await this.#run.check('GetCapabilities names a scope', async () => {
      await this.#driver.getCapabilities();
    });
    await this.#run.check('GwAllocCheck answers where the capabilities offer it', async () => {
      const { gwAllocChecker } = await this.#driver.getCapabilities();
      if (!gwAllocChecker) throw new NotApplicable('not offered: engines always allocate a gateway');
      const { options, enableIPv4, enableIPv6, internal } = this.#networkRequest();
      await this.#driver.gwAllocCheck({ options, enableIPv4, enableIPv6, internal });
    });
    await this.#networks();
    await this.#endpoints();
    await this.#unknown();
    await this.#links();
    await this.#concurrency();
  }

  #networkRequest(): CreateNetworkRequest {
    const prefix = (this.#options.range ?? '198.19.0.0/16').split('.').slice(0, 2).join('.');
    const subnet = `${prefix}.${this.#nextRange++}`;
    return {
      networkId: newId(),
      options: this.#options.options ?? {},
      enableIPv4: true,
      enableIPv6: false,
      internal: false,
      ipv4: [{ addressSpace: 'LocalDefault', pool: `${subnet}.0/24`, gateway: `${subnet}.1/24`, auxAddresses: {} }],
      ipv6: [],
    };
  }

  /** The same with an IPv6 pool beside it. */
  #dualStackRequest(): CreateNetworkRequest {
    const network = this.#networkRequest();
    const prefix = `fd00:c1ea:${this.#nextRange.toString(16)}:`;
    const data = { addressSpace: 'LocalDefault', pool: `${prefix}:/64`, gateway: `${prefix}:1/64`, auxAddresses: {} };
    return { ...network, enableIPv6: true, ipv6: [data] };
  }

  async #withNetwork(
    body: (network: CreateNetworkRequest) => Promise<void>,
    network = this.#networkRequest(),
  ): Promise<void> {
    await this.#driver.createNetwork(network);
    try {
      await body(network);
    } finally {
      await this.#driver.deleteNetwork({ networkId: network.networkId });
    }
  }

  async #withEndpoint(
    network: CreateNetworkRequest,
    given: EndpointInterface,
    body: (endpoint: Endpoint) => Promise<void>,
  ): Promise<void> {
    const host = this.#nextHost++;
    const address = network.ipv4[0]?.pool.replace('.0/24', `.${host}/24`) ?? '';
    const addressIPv6 = network.ipv6[0]?.pool.replace('::/64', `::${host.toString(16)}/64`);
    const request: CreateEndpointRequest = {
      networkId: network.networkId,
      endpointId: newId(),
      interface: { address, ...(addressIPv6 === undefined ? {} : { addressIPv6 }), ...given },
      exposedPorts: [],
      portBindings: [],
      options: {},
    };
    const filled = await this.#driver.createEndpoint(request);
    try {
      await body({ request, filled });
    } finally {
      await this.#driver.deleteEndpoint(request);
    }
  }

  async #networks(): Promise<void> {
    await this.#run.check('CreateNetwork and DeleteNetwork succeed, and again when they are repeated', async () => {
      const network = this.#networkRequest();
      await this.#driver.createNetwork(network);
      await this.#driver.createNetwork(network);
      await this.#driver.deleteNetwork({ networkId: network.networkId });
      await this.#driver.deleteNetwork({ networkId: network.networkId });
    });
    await this.#run.check('null, missing and empty fields of CreateNetwork mean the same', async () => {
      const needed = this.#options.options;
      for (const rest of ['"IPv6Data":null', '"IPv6Data":[]', '"Unknown":{"x":1}']) {
        const { networkId, ipv4 } = this.#networkRequest();
        const data = `"IPv4Data":[{"Pool":"${ipv4[0]?.pool}","Gateway":"${ipv4[0]?.gateway}"}]`;
        const generic = `{"com.docker.network.generic":${JSON.stringify(needed ?? null)}}`;
        const body = `{"NetworkID":"${networkId}","Options":${generic},${data},${rest}}`;
        const reply = await this.#subject.send({ method: 'NetworkDriver.CreateNetwork', body });
        const error = this.#subject.errorIn(reply);
        expect(error === undefined, `CreateNetwork with ${rest} was refused: ${error}`);
        await this.#driver.deleteNetwork({ networkId });
      }
    });
    await this.#run.check('network identifiers that are paths are refused', async () => {
      const { ipv4 } = this.#networkRequest();
      const body = `{"NetworkID":"../../cleat-contract-evil","Options":{},"IPv4Data":[{"Pool":"${ipv4[0]?.pool}"}]}`;
      const why = 'names of links and files are made of it';
      await this.#subject.expectRefusal({ method: 'NetworkDriver.CreateNetwork', body }, why);
    });
    await this.#run.check('what a network made is gone after DeleteNetwork', async () => {
      this.#needSandbox();
      const before = await linkNames();
      await this.#withNetwork((network) => this.#withEndpoint(network, {}, async () => undefined));
      const left = [...(await linkNames())].filter((name) => !before.has(name));
      expect(left.length === 0, `the links ${left.join(', ')} were left behind`);
    });
  }

  async #endpoints(): Promise<void> {
    await this.#run.check('CreateEndpoint fills only what was empty: engines refuse a changed field', () =>
      this.#withNetwork(async (network) => {
        await this.#withEndpoint(network, {}, async ({ filled }) => {
          expect(filled.address === undefined, `the address was given, and the reply sets it: "${filled.address}"`);
          expect(filled.addressIPv6 === undefined, `no IPv6 network, but the reply has "${filled.addressIPv6}"`);
        });
        await this.#withEndpoint(network, { macAddress: '02:42:c0:00:02:63' }, async ({ filled }) => {
          expect(filled.macAddress === undefined, `the MAC was given, and the reply sets it: "${filled.macAddress}"`);
        });
      }),
    );
    await this.#run.check('CreateEndpoint and DeleteEndpoint can be repeated', () =>
      this.#withNetwork((network) =>
        this.#withEndpoint(network, {}, async ({ request }) => {
          await this.#driver.createEndpoint(request);
          await this.#driver.deleteEndpoint(request);
        }),
      ),
    );
    await this.#run.check('EndpointOperInfo answers at any time: 20.10 fails a start without it', () =>
      this.#withNetwork((network) =>
        this.#withEndpoint(network, {}, async ({ request }) => {
          for (let round = 0; round < 3; round += 1) await this.#driver.endpointOperInfo(request);
        }),
      ),
    );
    await this.#run.check('ports are programmed and revoked, also without any, also twice', () =>
      this.#withNetwork((network) =>
        this.#withEndpoint(network, {}, async ({ request }) => {
          const program = { ...request, noProxy6To4: false };
          await this.#driver.revokeExternalConnectivity(request);
          await this.#driver.programExternalConnectivity(program);
          await this.#driver.revokeExternalConnectivity(request);
          await this.#driver.programExternalConnectivity(program);
          await this.#driver.revokeExternalConnectivity(request);
          await this.#driver.revokeExternalConnectivity(request);
        }),
      ),
    );
    await this.#run.check('internal networks come without ports, and so do their endpoints', async () => {
      const network = { ...this.#networkRequest(), internal: true };
      await this.#driver.createNetwork(network);
      try {
        const endpointId = newId();
        const ids = `"NetworkID":"${network.networkId}","EndpointID":"${endpointId}"`;
        const address = network.ipv4[0]?.pool.replace('.0/24', '.9/24');
        const body = `{${ids},"Interface":{"Address":"${address}","AddressIPv6":"","MacAddress":""},"Options":{}}`;
        const reply = await this.#subject.send({ method: 'NetworkDriver.CreateEndpoint', body });
        expect(this.#subject.errorIn(reply) === undefined, `CreateEndpoint was refused: ${shorten(reply.text)}`);
        await this.#driver.deleteEndpoint({ networkId: network.networkId, endpointId });
      } finally {
        await this.#driver.deleteNetwork({ networkId: network.networkId });
      }
    });
  }

  async #unknown(): Promise<void> {
    const ids = { networkId: newId(), endpointId: newId() };
    await this.#run.check('Leave, Revoke, DeleteEndpoint, DeleteNetwork succeed for what is unknown', async () => {
      await this.#driver.revokeExternalConnectivity(ids);
      await this.#driver.leave(ids);
      await this.#driver.deleteEndpoint(ids);
      await this.#driver.deleteNetwork(ids);
    });
    await this.#run.check('CreateEndpoint and Join on an unknown network are errors', async () => {
      const address = { interface: { address: '198.19.0.9/24' } };
      const ports = { exposedPorts: [], portBindings: [], options: {} };
      const create = () => this.#driver.createEndpoint({ ...ids, ...address, ...ports });
      await this.#subject.expectError(create, 'CreateEndpoint on a network that does not exist');
      const join = () => this.#driver.join({ ...ids, ...ports, sandboxKey: '/run/netns/cleat-contract-none' });
      await this.#subject.expectError(join, 'Join of an endpoint that does not exist');
    });
  }

  #needSandbox(): void {
    if (this.#noSandbox !== undefined) throw new NotApplicable(this.#noSandbox);
  }

  /** An endpoint whose link is inside a sandbox while the body runs, and the engine's way back out. */
  async #attached(
    network: CreateNetworkRequest,
    body: (sandbox: Sandbox, endpoint: Endpoint, join: JoinReply) => Promise<void>,
  ) {
    await this.#withEndpoint(network, {}, async (endpoint) => {
      const sandbox = await Sandbox.create();
      try {
        const join = await this.#driver.join({ ...endpoint.request, sandboxKey: sandbox.key });
        try {
          await sandbox.attach(join, { ...endpoint.filled, ...endpoint.request.interface });
          await body(sandbox, endpoint, join);
        } finally {
          await this.#driver.leave(endpoint.request);
          await sandbox.detach(join);
        }
      } finally {
        await sandbox.destroy();
      }
    });
  }

  async #links(): Promise<void> {
    await this.#run.check('Join names a link that the engine can move, and DeleteEndpoint removes it', async () => {
      this.#needSandbox();
      await this.#withNetwork(async (network) => {
        let name = '';
        await this.#attached(network, async (_sandbox, _endpoint, join) => {
          name = join.interfaceName.srcName;
          expect(join.interfaceName.dstPrefix !== '', 'Join names no DstPrefix, such as "eth"');
        });
        expect(!(await linkNames()).has(name), `the link "${name}" is left behind after DeleteEndpoint`);
      });
    });
    await this.#run.check('two endpoints of one network reach each other', async () => {
      this.#needSandbox();
      if (this.#options.reachable === false) throw new NotApplicable('switched off');
      await this.#withNetwork((network) =>
        this.#attached(network, (first) =>
          this.#attached(network, async (_second, other) => {
            const address = other.request.interface.address?.split('/')[0] ?? '';
            expect(await first.reaches(address), `${address} does not answer from the other endpoint`);
          }),
        ),
      );
    });
    await this.#run.check('endpoints of a network with both families reach each other over both', async () => {
      this.#needSandbox();
      if (this.#options.ipv6 !== true) throw new NotApplicable('not asked for');
      if (this.#options.reachable === false) throw new NotApplicable('switched off');
      await this.#withNetwork(
        (network) =>
          this.#attached(network, (first) =>
            this.#attached(network, async (_second, { request }) => {
              for (const cidr of [request.interface.address, request.interface.addressIPv6]) {
                const address = cidr?.split('/')[0] ?? '';
                expect(await first.reaches(address), `${address} does not answer from the other endpoint`);
              }
            }),
          ),
        this.#dualStackRequest(),
      );
    });
    await this.#run.check('DeleteEndpoint without Leave, and without Join, leaves nothing behind', async () => {
      this.#needSandbox();
      const before = await linkNames();
      await this.#withNetwork(async (network) => {
        await this.#withEndpoint(network, {}, async () => undefined);
        await this.#withEndpoint(network, {}, async ({ request }) => {
          const sandbox = await Sandbox.create();
          await this.#driver.join({ ...request, sandboxKey: sandbox.key }).finally(() => sandbox.destroy());
        });
      });
      const left = [...(await linkNames())].filter((name) => !before.has(name));
      expect(left.length === 0, `the links ${left.join(', ')} were left behind`);
    });
  }

  async #concurrency(): Promise<void> {
    await this.#run.check('networks are made and deleted at the same time', async () => {
      await Promise.all(Array.from({ length: 4 }, () => this.#withNetwork(async () => undefined)));
    });
    await this.#run.check(
      'endpoints of one network join and leave at the same time, each with its own link',
      async () => {
        this.#needSandbox();
        await this.#withNetwork(async (network) => {
          const names = new Set<string>();
          await Promise.all(
            Array.from({ length: 6 }, () =>
              this.#attached(network, async (_sandbox, _endpoint, join) => {
                names.add(join.interfaceName.srcName);
              }),
            ),
          );
          expect(names.size === 6, `6 endpoints got ${names.size} different links`);
        });
      },
    );
  }
}
