import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PortBinding } from '../../sdk/network-plugin.ts';
import { coalesce, type PortChoice, type PublishTarget, portRules, resolveBindings } from './port-binding.ts';
import { portElement } from './table.ts';

const binding = (text: string): PortBinding => {
  const [, hostIp = '', first = '0', last, containerPort = '0', protocol = 'tcp'] =
    /^(?:(.*)\|)?(\d+)(?:-(\d+))?:(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  const hostPort = Number(first);
  return {
    protocol: protocol as PortBinding['protocol'],
    hostIp,
    hostPort,
    hostPortEnd: last === undefined ? hostPort : Number(last),
    containerPort: Number(containerPort),
    containerIp: '',
  };
};

const target: PublishTarget = {
  ipv4: '192.0.2.2',
  ipv6: '2001:db8::2',
  routed4: false,
  routed6: false,
  defaultHostAddress: '',
  proxy6To4: true,
};
const { ipv6: _without, ...only4 } = target;

function resolve(texts: string[], to: PublishTarget = target) {
  const choices: PortChoice[] = [];
  const ports = resolveBindings(texts.map(binding), to, { first: 32768, last: 60999 }, (choice) => {
    choices.push(choice);
    return choice.first;
  });
  return {
    choices,
    ports,
    elements: ports
      .flatMap(portRules)
      .map(portElement)
      .map(({ set, key, data }) => [set, key, data].join(' | ')),
  };
}

test('both families and [::1] for a port on every address', () => {
  assert.equal(resolve(['8080:80']).elements, [
    'publish4 | tcp . 8080 | 192.0.2.2 . 80',
    'publish6 | tcp . 8080 | 2001:db8::2 . 80',
    'loopback6 | tcp . 8080 | ',
  ]);
});

test('a range that keeps its numbers is one element in each map; one that does not is not', () => {
  const same = Array.from({ length: 10 }, (_, index) => `${8000 + index}:${8000 + index}`);
  assert.equal(resolve(same.toReversed()).elements, [
    'publish4_ranges | tcp . 8000-8009 | 192.0.2.2',
    'publish6_ranges | tcp . 8000-8009 | 2001:db8::2',
    'loopback6_ranges | tcp . 8000-8009 | ',
  ]);
  assert.is(resolve(['8000:9000', '8001:9001'], only4).ports.filter(({ via }) => via === 'nat').length, 2);
});

test('one host address: of IPv4, of IPv6, and the loopback ones', () => {
  assert.equal(resolve(['198.51.100.1|53:53/udp']).elements, [
    'publish4_at | 198.51.100.1 . udp . 53 | 192.0.2.2 . 53',
  ]);
  assert.equal(resolve(['2001:db8:1::1|53:53/udp']).elements, [
    'publish6_at | 2001:db8:1::1 . udp . 53 | 2001:db8::2 . 53',
  ]);
  assert.equal(resolve(['127.0.0.1|80:80']).elements, ['publish4_at | 127.0.0.1 . tcp . 80 | 192.0.2.2 . 80']);
  assert.equal(resolve(['::1|80:80']).elements, ['loopback6 | tcp . 80 | ']);
  assert.equal(resolve(['0.0.0.0|80:80']).elements, ['publish4 | tcp . 80 | 192.0.2.2 . 80']);
});

test('IPv6 of the host to a container without it goes through the proxy, unless the engine says no', () => {
  assert.equal(resolve(['8080:80'], only4).elements, [
    'publish4 | tcp . 8080 | 192.0.2.2 . 80',
    'proxied6 | tcp . 8080 | ',
    'loopback6 | tcp . 8080 | ',
  ]);
  assert.is(resolve(['8080:80'], { ...only4, proxy6To4: false }).ports.length, 1);
});

test('routed: the container port is opened and no host port is taken', () => {
  const { elements, choices } = resolve(['8080:80'], { ...target, routed4: true, routed6: true });
  assert.equal(elements, ['open4 | 192.0.2.2 . tcp . 80 | ', 'open6 | 2001:db8::2 . tcp . 80 | ']);
  assert.is(choices.length, 0);
});

test('the default host address applies where none is named, and leaves IPv6 out', () => {
  const to = { ...target, defaultHostAddress: '198.51.100.1' };
  assert.equal(
    resolve(['8080:80', '::|8081:80'], to).elements.map((element) => element.split(' | ')[0]),
    ['publish4_at', 'publish6', 'loopback6'],
  );
});

test('exact ports are chosen before ranges, ranges before any', () => {
  const { choices } = resolve(['0:80', '9000-9010:81', '8080:82']);
  assert.equal(
    choices.map(({ kind }) => kind),
    ['exact', 'range', 'any'],
  );
  assert.equal([choices[2]?.first, choices[2]?.last], [32768, 60999]);
  assert.equal(choices[0]?.scopes, [
    { family: 4, address: '' },
    { family: 6, address: '' },
  ]);
});

test('the same binding twice is one', () => {
  assert.is(resolve(['8080:80', '8080:80']).ports.length, 2);
});

test('a host address that is none is refused', () => {
  assert.throws(() => resolve(['eth0|80:80']), /host address "eth0"/);
});

test('coalescing keeps protocols, addresses and families apart', () => {
  const { ports } = resolve(['80:80', '81:81/udp', '198.51.100.1|82:82'], only4);
  assert.is(coalesce(ports).length, ports.length);
});

test.run();
