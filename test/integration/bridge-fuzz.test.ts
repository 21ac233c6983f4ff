/** cleat-bridge through the conformance suite, and under bodies of every wrong kind: clear errors, no crash, nothing changed. */
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables');

const runs = 50 * Number(process.env['CLEAT_ROUNDS'] ?? 4);
const methods = [
  'GwAllocCheck',
  'CreateNetwork',
  'DeleteNetwork',
  'CreateEndpoint',
  'DeleteEndpoint',
  'EndpointOperInfo',
  'Join',
  'Leave',
  'ProgramExternalConnectivity',
  'RevokeExternalConnectivity',
  'DiscoverNew',
  'DiscoverDelete',
];

test('conforms to the protocol', async () => {
  const host = await createHost({ name: 'conform' });
  try {
    const daemon = await startDaemon('networkd', host, { config: { dns: { engines: [] } } });
    const main = fileURLToPath(new URL('../../plugins/sdk/contract/main.ts', import.meta.url));
    const node = fileURLToPath(new URL('../../bin/node', import.meta.url));
    const report = await host.run(node, [
      main,
      'network',
      '--socket',
      `${daemon.pluginDir}/cleat-bridge.sock`,
      '--ipv6',
    ]);
    assert.match(report.stdout, /0 failed/);
    assert.is(await host.sh("ip -o link | grep -cE 'cl-|cv' || true"), '0');
  } finally {
    await host.close();
  }
});

/** Anything, but often with the right names and almost right values. */
const hostile = fc.oneof(
  fc.constantFrom(
    '',
    '0.0.0.0/0',
    '10.0.0.0/33',
    '::/0',
    'x'.repeat(5000),
    '../../etc',
    '\u0000',
    '"; drop',
    '%s%n',
    '-1',
    '127.0.0.1/8',
    '224.0.0.0/8',
  ),
  fc.string(),
  fc.integer(),
  fc.constantFrom(null, true, 1e308, [], {}),
);
const id = fc.oneof(
  fc.constantFrom('a'.repeat(64), 'A'.repeat(64), '0'.repeat(63), 'siak4aufv8lamowdd2r3sy6xl'),
  hostile,
);
const pool = fc.record(
  {
    AddressSpace: hostile,
    Pool: fc.oneof(fc.constant('10.66.0.0/24'), hostile),
    Gateway: hostile,
    AuxAddresses: fc.oneof(hostile, fc.dictionary(fc.string(), hostile)),
  },
  { requiredKeys: [] },
);
const port = fc.record(
  {
    Proto: fc.oneof(fc.constantFrom(6, 17, 132, 1), hostile),
    Port: hostile,
    HostIP: hostile,
    HostPort: hostile,
    HostPortEnd: hostile,
    IP: hostile,
  },
  { requiredKeys: [] },
);
const options = fc.oneof(
  hostile,
  fc.record(
    {
      'com.docker.network.generic': fc.oneof(
        hostile,
        fc.dictionary(
          fc.constantFrom(
            'com.docker.network.bridge.name',
            'com.docker.network.driver.mtu',
            'cleat.route',
            'foo',
            '__proto__',
          ),
          hostile,
        ),
      ),
      'com.docker.network.enable_ipv6': hostile,
      'com.docker.network.portmap': fc.oneof(hostile, fc.array(port)),
      'com.docker.network.endpoint.exposedports': fc.oneof(hostile, fc.array(port)),
      'com.docker.network.endpoint.macaddress': hostile,
    },
    { requiredKeys: [] },
  ),
);
const body = fc.oneof(
  fc.record(
    {
      NetworkID: id,
      EndpointID: id,
      Options: options,
      IPv4Data: fc.oneof(hostile, fc.array(pool)),
      IPv6Data: fc.oneof(hostile, fc.array(pool)),
      Interface: fc.oneof(
        hostile,
        fc.record({ Address: hostile, AddressIPv6: hostile, MacAddress: hostile }, { requiredKeys: [] }),
      ),
      SandboxKey: hostile,
      DiscoveryType: hostile,
      DiscoveryData: hostile,
    },
    { requiredKeys: [] },
  ),
  fc.json().map((text) => JSON.parse(text) as unknown),
);

test(`${runs} hostile bodies`, async () => {
  const host = await createHost({ name: 'fuzz' });
  try {
    const daemon = await startDaemon('networkd', host, { config: { dns: { engines: [] } }, logLevel: 'info' });
    const socketPath = daemon.socket('cleat-bridge');
    const before = await state(host.sh);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...methods), body, async (method, value) => {
        const { status, text } = await post(socketPath, `/NetworkDriver.${method}`, JSON.stringify(value));
        const reply = JSON.parse(text) as { Err?: string };
        assert.ok(status === 200 || reply.Err, `${status} ${text}`);
        assert.not.match(reply.Err ?? '', /PROTO_INTERNAL/, text);
        // What was accepted by chance is taken back: nothing else may have changed.
        if (method === 'CreateNetwork' && !reply.Err) {
          const networkId = (value as { NetworkID: string }).NetworkID;
          await post(socketPath, '/NetworkDriver.DeleteNetwork', JSON.stringify({ NetworkID: networkId }));
        }
      }),
      { numRuns: runs },
    );
    assert.is(await state(host.sh), before);
    assert.ok(daemon.running());
    assert.is(daemon.log().includes('a defect'), false, daemon.log().slice(-500));
  } finally {
    await host.close();
  }
});

function post(socketPath: string, path: string, text: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method: 'POST' }, (response) => {
      let reply = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        reply += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: reply }));
    });
    call.on('error', reject);
    call.end(text);
  });
}

function state(sh: (script: string) => Promise<string>): Promise<string> {
  return sh(
    "ip -o link | awk '{ print $2 }'; ip -br addr; nft list ruleset; sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding | grep -v forward || true",
  );
}

test.run();
