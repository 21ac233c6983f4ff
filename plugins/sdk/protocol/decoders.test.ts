/** Every decoder against hostile input: an answer or a PROTO_BODY that names the field, never anything else. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  endpointIds as endpoint,
  goodRequests as good,
  id,
  logInfo as info,
  replaced,
} from '../../../test/contract/good-requests.ts';
import { PluginError } from '../errors.ts';
import { ipamMethods } from './ipam.ts';
import { decodeReadLogs, encodeReadLogs, logMethods, READ_LOGS } from './log.ts';
import { networkMethods } from './network.ts';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';
import { volumeMethods } from './volume.ts';
import { WireReader } from './wire.ts';

interface AnyMethod {
  readonly name: string;
  readonly decodeRequest?: unknown;
  readRequest(body: unknown): unknown;
  encodeRequest(request: unknown): unknown;
  decodeReply(body: WireReader, request: unknown): unknown;
}

const methods = [networkMethods, ipamMethods, volumeMethods, logMethods].flatMap(
  (table) => Object.values(table) as unknown as AnyMethod[],
);

const decoders = methods.filter((method) => method.decodeRequest !== undefined);

/** Runs it and returns the code of the PluginError it threw, or undefined. Anything else is a failure of the test. */
function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    assert.ok(error.line.length < 600, error.line);
    return error.code;
  }
}

test('there is a good body for every method, and it decodes', () => {
  assert.equal(decoders.map((method) => method.name).sort(), Object.keys(good).sort());
  for (const method of decoders)
    assert.is(
      codeOf(() => method.readRequest(good[method.name])),
      undefined,
      method.name,
    );
});

test('a missing or empty body and bodies that are no object are PROTO_BODY', () => {
  for (const method of decoders) {
    for (const body of [undefined, null, [], 'text', 5, true]) {
      assert.is(
        codeOf(() => method.readRequest(body)),
        'PROTO_BODY',
        `${method.name} ${JSON.stringify(body)}`,
      );
    }
    if (['NetworkDriver.GwAllocCheck', 'NetworkDriver.DiscoverNew'].includes(method.name)) continue;
    assert.is(
      codeOf(() => method.readRequest({})),
      'PROTO_BODY',
      `${method.name} {}`,
    );
  }
});

test('one wrong value at any place is refused by name or means nothing', () => {
  for (const method of decoders) {
    for (const wrong of [{}, [], 'x', 5, -1, 1e300, true, null, '', { a: { b: 1 } }, [null], '\0', '../../x']) {
      for (const body of replaced(good[method.name], wrong)) {
        const code = codeOf(() => method.readRequest(body));
        assert.ok(code === undefined || code === 'PROTO_BODY', `${method.name} ${JSON.stringify(body)}: ${code}`);
      }
    }
  }
});

test('an error names the field with its path, and what was expected', () => {
  const message = (name: string, body: unknown): string => {
    const method = decoders.find((one) => one.name === name);
    try {
      method?.readRequest(body);
    } catch (error) {
      return (error as Error).message;
    }
    return 'accepted';
  };
  const create = good['NetworkDriver.CreateNetwork'];
  assert.is(
    message('NetworkDriver.CreateNetwork', { ...create, IPv4Data: [{ Pool: 7 }] }),
    'NetworkDriver.CreateNetwork: IPv4Data[0].Pool must be a string, not 7',
  );
  assert.is(
    message('NetworkDriver.CreateNetwork', { ...create, Options: { 'com.docker.network.generic': { a: [1] } } }),
    'NetworkDriver.CreateNetwork: Options.com.docker.network.generic.a must be a string, not a list',
  );
  assert.is(
    message('NetworkDriver.Join', { ...endpoint, SandboxKey: 'relative', Options: {} }),
    'NetworkDriver.Join: SandboxKey must be an absolute path, not "relative"',
  );
  assert.is(
    message('NetworkDriver.Leave', { NetworkID: '../../etc', EndpointID: id }),
    'NetworkDriver.Leave: NetworkID must be an identifier of up to 128 letters, digits and "_.:-", not "../../etc"',
  );
  const port = { 'com.docker.network.portmap': [{ Proto: 1, Port: 80 }] };
  assert.is(
    message('NetworkDriver.ProgramExternalConnectivity', { ...endpoint, Options: port }),
    'NetworkDriver.ProgramExternalConnectivity: Options.com.docker.network.portmap[0].Proto must be 6 (tcp), 17 (udp) or 132 (sctp), not 1',
  );
  assert.is(
    message('IpamDriver.RequestPool', { AddressSpace: 's', Pool: '192.0.2.0' }),
    'IpamDriver.RequestPool: Pool must be an address range in CIDR form, not "192.0.2.0"',
  );
});

test('any JSON gives a request or PROTO_BODY, and any reply too', () => {
  const objects = fc.dictionary(fc.constantFrom(...fieldNames(), '__proto__', 'x'), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(fc.constantFrom(...methods), objects, (method, body) => {
      const text = JSON.stringify(body);
      const request = codeOf(() => method.readRequest(JSON.parse(text)));
      assert.ok(request === undefined || request === 'PROTO_BODY');
      const reply = codeOf(() => method.decodeReply(new WireReader(method.name, JSON.parse(text)), {}));
      assert.ok(reply === undefined || reply === 'PROTO_BODY');
      const logs = codeOf(() => decodeReadLogs(new WireReader(READ_LOGS, JSON.parse(text))));
      assert.ok(logs === undefined || logs === 'PROTO_BODY');
    }),
    { numRuns: 1500 },
  );
});

function fieldNames(): string[] {
  const names = new Set<string>([
    'Volume',
    'Volumes',
    'Mountpoint',
    'InterfaceName',
    'StaticRoutes',
    'Data',
    'Value',
    'Config',
  ]);
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (!Array.isArray(value)) names.add(key);
      collect(inner);
    }
  };
  collect(good);
  return [...names];
}

test('what decodes encodes to what decodes to the same', () => {
  for (const method of decoders) {
    const request = method.readRequest(good[method.name]);
    assert.equal(method.readRequest(JSON.parse(JSON.stringify(method.encodeRequest(request)))), request, method.name);
  }
});

test('null, missing and empty mean the same, and field names match in any case', () => {
  const create = networkMethods.createNetwork;
  const plain = create.readRequest({ NetworkID: id });
  const nulls = { NetworkID: id, Options: null, IPv4Data: null, IPv6Data: null };
  const empty = { networkid: id, options: { 'com.docker.network.generic': null }, ipv4data: [], IPV6DATA: [] };
  assert.equal(create.readRequest(nulls), plain);
  assert.equal(create.readRequest(empty), plain);
  assert.is(plain.enableIPv4, true, '20.10 does not send it');
});

test('a key called __proto__ is an option like any other', () => {
  const body: unknown = JSON.parse('{"Name":"v","Opts":{"__proto__":"x"}}');
  const { options } = volumeMethods.create.readRequest(body);
  assert.equal(Object.entries(options), [['__proto__', 'x']]);
});

test('times keep nanoseconds both ways, zero is no limit', () => {
  assert.is(parseTimestamp('2026-11-20T16:21:36.416671004Z'), 1795191696416671004n);
  assert.is(parseTimestamp('2026-11-20T17:21:36+01:00'), 1795191696000000000n);
  assert.is(parseTimestamp('yesterday'), undefined);
  assert.is(formatTimestamp(1795191696416671004n), '2026-11-20T16:21:36.416671004Z');
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 18n), max: 4n * 10n ** 18n }), (nanos) => {
      assert.is(parseTimestamp(formatTimestamp(nanos)), nanos);
    }),
  );
  const zero = '0001-01-01T00:00:00Z';
  const request = { Info: info, Config: { Since: zero, Until: zero, Tail: -1, Follow: false } };
  const decoded = decodeReadLogs(new WireReader(READ_LOGS, request));
  assert.equal(decoded.config, { follow: false });
  assert.equal(encodeReadLogs(decoded)['Config'], request.Config);
});

test.run();
