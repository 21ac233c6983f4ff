import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from './errors.ts';
import { editDistance, nearestName } from './nearest-name.ts';
import { choice, cidr, custom, duration, flag, integer, ip, list, mac, prefixed, size, text } from './option-kinds.ts';
import { optionNames, parseOptions } from './options.ts';

const schema = {
  mtu: integer('com.docker.network.driver.mtu', { min: 68, max: 65535 }),
  icc: flag(['com.docker.network.bridge.enable_icc', 'icc'], { otherwise: true }),
  mode: choice('mode', ['nat', 'routed'], { otherwise: 'nat' }),
  size: size('size', { min: 4096, max: 1024 ** 3 }),
  timeout: duration('timeout', { min: 100, max: 60_000, otherwise: 5000 }),
  parent: text('parent', { pattern: /^\w+$/, expected: 'an interface name' }),
  note: text('note', { empty: true }),
  address: ip('address', { family: 4 }),
  subnet: cidr('subnet'),
  mac: mac('mac'),
  servers: list('servers', { item: 'ip' }),
  records: prefixed('cleat.record.', text),
  weights: prefixed('weight.', (name) => integer(name, { min: 0, max: 9 })),
  even: custom('even', {
    expected: 'an even number',
    find: (value) => (Number(value) % 2 === 0 ? Number(value) : undefined),
  }),
};
const parse = (given: Record<string, string>) => parseOptions(schema, given, { driver: 'test' });

function refusal(given: Record<string, string>): string {
  try {
    parse(given);
  } catch (error) {
    if (error instanceof PluginError) return error.line;
    throw error;
  }
  return assert.unreachable(`${JSON.stringify(given)} was accepted`) as never;
}

test('types follow the declaration', () => {
  const values = parse({ 'com.docker.network.driver.mtu': '1400' });
  const mtu: number | undefined = values.mtu;
  const icc: boolean = values.icc;
  const mode: 'nat' | 'routed' = values.mode;
  const records: Readonly<Record<string, string>> = values.records;
  const timeout: number = values.timeout;
  // @ts-expect-error the value may be undefined
  const always: number = values.mtu;
  assert.equal([mtu, icc, mode, records, timeout, always], [1400, true, 'nat', {}, 5000, 1400]);
});

test('defaults hold when nothing is given', () => {
  const { icc, mode, timeout, servers, records, ...rest } = parse({});
  assert.equal(
    { icc, mode, timeout, servers, records },
    { icc: true, mode: 'nat', timeout: 5000, servers: [], records: {} },
  );
  assert.ok(Object.entries(rest).every(([name, value]) => value === undefined || name === 'weights'));
});

test('values are read in the forms that Docker uses', () => {
  const values = parse({
    icc: '0',
    size: '1.5m',
    timeout: '2s',
    address: '192.0.2.1',
    subnet: '2001:db8::/64',
    mac: '02-00-5E-00-53-01',
    servers: '192.0.2.1, 2001:db8::1',
    note: '',
    'cleat.record.www': '192.0.2.9',
    'cleat.record.__proto__': 'own',
    'weight.a': '3',
    even: '4',
  });
  assert.is(values.icc, false);
  assert.is(values.size, 1_572_864);
  assert.is(values.timeout, 2000);
  assert.is(values.mac, '02:00:5e:00:53:01');
  assert.equal(values.servers, ['192.0.2.1', '2001:db8::1']);
  assert.is(values.note, '');
  assert.equal(Object.entries(values.records), [
    ['www', '192.0.2.9'],
    ['__proto__', 'own'],
  ]);
  assert.equal(values.weights, { a: 3 });
  assert.is(values.even, 4);
});

test("booleans are Go's, and a bare flag is true", () => {
  for (const yes of ['', '1', 't', 'T', 'true', 'TRUE', 'True']) assert.is(parse({ icc: yes }).icc, true, yes);
  for (const no of ['0', 'f', 'F', 'false', 'FALSE', 'False']) assert.is(parse({ icc: no }).icc, false, no);
  for (const neither of ['yes', 'tRUE', '2', ' true', 'null'])
    assert.match(refusal({ icc: neither }), /use true or false/);
});

test('an unknown option is refused with the nearest known one and all of them', () => {
  assert.match(
    refusal({ mtu: '1' }),
    /test has no option "mtu"; did you mean "com.docker.network.driver.mtu"\? known options: /,
  );
  assert.match(refusal({ SIZE: '1g' }), /did you mean "size"\?/);
  assert.match(refusal({ prent: 'eth0' }), /did you mean "parent"\?.*\[PROTO_OPTION_UNKNOWN\]/);
  assert.not.match(refusal({ 'something.else.entirely': '1' }), /did you mean/);
  assert.match(refusal({ 'cleat.record.': 'x' }), /has no option "cleat\.record\."/);
  for (const name of optionNames(schema)) assert.ok(refusal({ zzzzzzzzz: '' }).includes(name));
});

test('wrong values are refused with what is allowed, both ends of a range', () => {
  const cases: [Record<string, string>, string][] = [
    [{ 'com.docker.network.driver.mtu': '67' }, 'use a whole number from 68 to 65535'],
    [{ 'com.docker.network.driver.mtu': '1e3' }, 'use a whole number from 68 to 65535'],
    [{ 'com.docker.network.driver.mtu': '' }, 'use a whole number from 68 to 65535'],
    [{ size: '2g' }, 'use a size such as 512k, 10m or 1g from 4k to 1g'],
    [{ size: '1k' }, 'from 4k to 1g'],
    [{ timeout: '50ms' }, 'from 100ms to 1m'],
    [{ timeout: '5' }, 'use a duration such as 300ms, 5s or 1h30m'],
    [{ mode: 'NAT' }, 'use one of nat, routed'],
    [{ parent: 'a b' }, 'use an interface name'],
    [{ address: '2001:db8::1' }, 'use an IPv4 address'],
    [{ address: '192.0.2.01' }, 'use an IPv4 address'],
    [{ subnet: '192.0.2.0/33' }, 'use an IP range'],
    [{ subnet: '192.0.2.0' }, 'use an IP range'],
    [{ mac: '01:00:5e:00:00:01' }, 'use a unicast MAC address'],
    [{ mac: '02:00:5e:00:53' }, 'use a unicast MAC address'],
    [{ servers: '192.0.2.1,,192.0.2.2' }, 'IP addresses with "," between them'],
    [{ even: '3' }, 'use an even number'],
    [{ 'weight.a': '10' }, 'option weight.a=10 is not allowed; use a whole number from 0 to 9'],
  ];
  for (const [given, expected] of cases) {
    const line = refusal(given);
    assert.ok(line.includes(expected) && line.endsWith('[PROTO_OPTION]'), `${line}\n${expected}`);
  }
});

test('an option and its alias together are refused, a required one that is missing too', () => {
  assert.match(refusal({ icc: '1', 'com.docker.network.bridge.enable_icc': '1' }), /are the same; give one of them/);
  const required = { parent: text('parent', { required: true }) };
  assert.throws(() => parseOptions(required, {}, { driver: 'test' }), /option "parent" is missing/);
  assert.is(parseOptions(required, { parent: 'eth0' }, { driver: 'test' }).parent, 'eth0');
});

test('any names and values give an answer or a PluginError, and never change a prototype', () => {
  const names = fc.oneof(
    fc.string(),
    fc.constantFrom(...optionNames(schema), '__proto__', 'constructor', 'toString', 'weight.x'),
  );
  fc.assert(
    fc.property(fc.dictionary(names, fc.string()), (given) => {
      try {
        parse({ ...given });
      } catch (error) {
        assert.instance(error, PluginError);
        assert.ok((error as PluginError).line.length < 5000);
      }
      assert.is(Object.getPrototypeOf({}), Object.prototype);
    }),
    { numRuns: 300 },
  );
});

test('the nearest name counts slips of the finger', () => {
  assert.is(editDistance('kitten', 'sitting'), 3);
  assert.is(editDistance('ab', 'ba'), 1);
  assert.is(editDistance('', 'abc'), 3);
  assert.is(nearestName('exmaple', ['example', 'sample']), 'example');
  assert.is(nearestName('x'.repeat(100_000), ['example']), undefined);
});

test.run();
