import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import type { HostScope, PortChoice, PublishedPort } from './port-binding.ts';
import { PortIndex } from './port-index.ts';

const any4: HostScope = { family: 4, address: '' };
const any6: HostScope = { family: 6, address: '' };
const port = (first: number, last = first, more: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: 'tcp',
  family: 4,
  hostAddress: '',
  hostPort: first,
  hostPortEnd: last,
  containerAddress: '192.0.2.2',
  containerPort: first,
  via: 'nat',
  ...more,
});
const free = () => {};
const choice = (first: number, last: number, kind: PortChoice['kind'], scopes = [any4]): PortChoice => ({
  protocol: 'tcp',
  scopes,
  first,
  last,
  kind,
});
const name = { name: (owner: string) => `container ${owner}`, giveUp: () => false };

test('a taken port names its holder, single or inside a range', () => {
  const index = new PortIndex();
  index.add('one', [port(80), port(8000, 8999)]);
  assert.throws(
    () => index.choose(choice(80, 80, 'exact'), free, name),
    (error: PluginError) => error.code === 'NET_PORT_TAKEN' && error.message.includes('container one'),
  );
  assert.throws(() => index.choose(choice(8500, 8500, 'exact'), free, name), /8500\/tcp is already published/);
  assert.is(index.choose(choice(81, 81, 'exact'), free, name), 81);
});

test('another protocol, family or address is no conflict; every address is', () => {
  const index = new PortIndex();
  index.add('one', [port(80, 80, { hostAddress: '198.51.100.1' })]);
  assert.is(index.findHolder('udp', [any4], 80), undefined);
  assert.is(index.findHolder('tcp', [any6], 80), undefined);
  assert.is(index.findHolder('tcp', [{ family: 4, address: '198.51.100.2' }], 80), undefined);
  assert.is(index.findHolder('tcp', [any4], 80)?.owner, 'one');
});

test('a range takes the first free port; any goes round', () => {
  const index = new PortIndex();
  index.add('one', [port(9000), port(9001)]);
  assert.is(index.choose(choice(9000, 9010, 'range'), free, name), 9002);
  const first = index.choose(choice(40000, 40002, 'any'), free, name);
  const second = index.choose(choice(40000, 40002, 'any'), free, name);
  index.choose(choice(40000, 40002, 'any'), free, name);
  assert.equal([first, second, index.choose(choice(40000, 40002, 'any'), free, name)], [40000, 40001, 40000]);
});

test('ports that the host refuses are passed over, other errors are not', () => {
  const index = new PortIndex();
  const busy = (_: unknown, __: unknown, number: number) => {
    if (number < 40002) throw new PluginError('NET_PORT_TAKEN', `port ${number} is used by nginx`);
  };
  assert.is(index.choose(choice(40000, 40005, 'any'), busy, name), 40002);
  assert.throws(() => index.choose(choice(40000, 40001, 'range'), busy, name), /no tcp port from 40000 to 40001/);
  assert.throws(() => index.choose(choice(40000, 40000, 'exact'), busy, name), /nginx/);
});

test('an abandoned holder gives way to one who asks for exactly its port', () => {
  const index = new PortIndex();
  index.add('one', [port(80)]);
  const giveUp = (owner: string) => {
    index.remove(owner);
    return true;
  };
  assert.is(index.choose(choice(80, 80, 'exact'), free, { ...name, giveUp }), 80);
});

test('removing an owner frees all it held', () => {
  const index = new PortIndex();
  index.add('one', [port(80), port(8000, 8999), port(80, 80, { family: 6 })]);
  index.add('two', [port(80, 80, { protocol: 'udp' })]);
  index.remove('one');
  assert.is(index.findHolder('tcp', [any4, any6], 80), undefined);
  assert.is(index.findHolder('tcp', [any4], 8500), undefined);
  assert.is(index.findHolder('udp', [any4], 80)?.owner, 'two');
  index.remove('one');
});

test('the target of a port in a range keeps its number', () => {
  const index = new PortIndex();
  index.add('one', [port(8000, 8999), port(80, 80, { containerPort: 8080 })]);
  assert.equal(index.findTarget('tcp', any4, 8123), { address: '192.0.2.2', port: 8123 });
  assert.equal(index.findTarget('tcp', any4, 80), { address: '192.0.2.2', port: 8080 });
});

test.run();
