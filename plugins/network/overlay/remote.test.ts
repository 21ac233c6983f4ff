import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SharedNetwork } from './control-plane.ts';
import { Inbox } from './exchange/inbox.ts';
import { judge } from './remote.ts';

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const endpoint = (id: string, address: string) => ({ id, addresses: [address], mac: '02:42:0a:00:00:09', names: [id] });
const network: SharedNetwork = {
  name: 'prod',
  vni: 7,
  port: 4789,
  host: '192.0.2.1',
  pools: ['10.9.0.0/24'],
  gateways: ['10.9.0.1'],
  shares: 3,
  attributes: {},
  endpoints: [],
};
const other = { ...network, host: '192.0.2.2' };
const look = (given: Partial<SharedNetwork>) =>
  judge({ node: 'n', hostName: 'b', network: { ...other, ...given } }, network, { peers, allocated: false });

test('a host is believed what is its own, and nothing else', () => {
  const endpoints = [endpoint('good', '10.9.0.70'), endpoint('mine', '10.9.0.5'), endpoint('outside', '192.0.2.1')];
  const { endpoints: used, refused, problem } = look({ endpoints });
  assert.equal(
    used.map(({ id }) => id),
    ['good'],
  );
  assert.is(refused, 2);
  assert.is(problem, undefined);
});

test('a host that would send in clear what is encrypted here is left out, and the other way round', () => {
  const attributes = { tunnel: JSON.stringify({ epoch: 1, settled: true, keys: [] }) };
  assert.match(look({ attributes }).problem ?? '', /it encrypts the network, which is in clear here/);
  const part = { node: 'n', hostName: 'b', network: other };
  assert.match(
    judge(part, { ...network, attributes }, { peers, allocated: false }).problem ?? '',
    /in clear there, and encrypted here/,
  );
  const both = (said: string) =>
    judge(
      { ...part, network: { ...other, attributes: { tunnel: said } } },
      { ...network, attributes },
      { peers, allocated: false },
    );
  assert.equal(both(attributes.tunnel).tunnel, { epoch: 1, settled: true, keys: [] });
  for (const said of [
    '',
    '{',
    'null',
    '{"epoch":-1,"keys":[]}',
    '{"epoch":1,"keys":[{"slot":2,"port":1,"publicKey":"x"}]}',
  ])
    assert.match(both(said).problem ?? '', /cannot be read/, said);
});

test('a host that means another network by the name is left out, with the reason', () => {
  assert.match(look({ vni: 8 }).problem ?? '', /its vni is 8, here it is 7/);
  assert.match(look({ shares: 4 }).problem ?? '', /its shares is 4/);
  assert.match(
    look({ pools: ['10.8.0.0/24'] }).problem ?? '',
    /its pools are 10\.8\.0\.0\/24, here they are 10\.9\.0\.0\/24/,
  );
  assert.match(look({ gateways: [] }).problem ?? '', /its gateways are none/);
  assert.match(look({ host: '192.0.2.9' }).problem ?? '', /not among the peers/);
  assert.match(look({ host: '192.0.2.1' }).problem ?? '', /this host's address/);
  assert.equal(look({ vni: 8, endpoints: [endpoint('x', '10.9.0.70')] }).endpoints, []);
});

test('the inbox: the youngest connection speaks, and silence ends a lease', () => {
  let now = 0;
  const inbox = new Inbox(() => now);
  const hello = (epoch: number, session: number) =>
    ({ kind: 'hello', version: 1, node: 'n', hostName: 'b', to: '192.0.2.1', epoch, session }) as const;
  const [old, young] = [hello(1, 5), hello(2, 1)];
  const state = (...ids: string[]) =>
    ({ kind: 'state', networks: [{ ...other, endpoints: ids.map((id) => endpoint(id, '10.9.0.70')) }] }) as const;
  const seen = () => inbox.parts('prod').flatMap((part) => part.network.endpoints.map(({ id }) => id));
  assert.ok(inbox.open(old));
  assert.equal(inbox.take(old, state('a')), ['prod']);
  assert.ok(inbox.open(young), 'the daemon was restarted');
  assert.equal(seen(), ['a'], 'what it said before counts until it speaks');
  assert.is(inbox.take(old, state('late')), undefined);
  assert.not(inbox.open(hello(1, 6)), 'an older run has nothing to say');
  assert.equal(inbox.take(young, state('b', 'c')), ['prod']);
  assert.equal(inbox.take(young, { kind: 'remove', name: 'prod', endpointId: 'b' }), ['prod']);
  assert.equal(seen(), ['c']);
  now = 1000;
  assert.equal(inbox.expire(1000), []);
  now = 1001;
  assert.equal(inbox.expire(1000), ['prod']);
  assert.equal(seen(), []);
});

test.run();
