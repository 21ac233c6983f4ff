import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SharedNetwork } from '../control-plane.ts';
import { Keys, prefixEnd, readKey } from './keys.ts';
import { NetworkView } from './network-view.ts';
import { EventSchema, KeyValueSchema } from './rpc_pb.ts';

const keys = new Keys('/cleat/');
const prefix = keys.network('prod');
const endpoint = (id: string) => ({ id, addresses: ['10.0.0.9'], mac: '02:42:0a:00:00:09', names: [id] });
const { endpoints: _, ...network }: SharedNetwork = {
  name: 'prod',
  vni: 7,
  port: 4789,
  host: '192.0.2.1',
  pools: ['10.0.0.0/24'],
  gateways: [],
  shares: 0,
  attributes: {},
  endpoints: [],
};
const record = (key: string, value: unknown, modRevision = 1n) =>
  create(KeyValueSchema, { key: Buffer.from(key), value: Buffer.from(JSON.stringify(value)), modRevision });
const host = (node: string, revision = 1n) => record(keys.host('prod', node), { hostName: node, network }, revision);
const container = (node: string, id: string, revision = 1n) =>
  record(keys.endpoint('prod', node, id), endpoint(id), revision);
const seen = (view: NetworkView) =>
  view.parts().map((part) => `${part.node}:${part.network.endpoints.map(({ id }) => id)}:${part.ranges}`);
const event = (type: number, kv: ReturnType<typeof record>) => create(EventSchema, { type, kv });

test('a snapshot, then changes; what this host wrote is no news, and older ones change nothing', () => {
  const view = new NetworkView(prefix, 'me');
  assert.is(view.synced, false);
  const block = record(keys.block('prod', '10.0.0.16/28'), { node: 'b', hostName: 'b' });
  view.reset({ revision: 5n, entries: [host('b'), container('b', 'x', 5n), host('me'), container('me', 'y'), block] });
  assert.equal(seen(view), ['b:x:10.0.0.16/28']);
  assert.equal([...view.own().keys()], ['hosts/me', 'endpoints/me/y']);
  assert.is(view.apply({ revision: 6n, events: [event(0, container('b', 'z', 6n))] }).others, true);
  assert.equal(seen(view), ['b:x,z:10.0.0.16/28']);
  const mine = view.apply({ revision: 7n, events: [event(0, container('me', 'w', 7n))] });
  assert.equal(mine, { others: false, own: true });
  assert.equal([...view.own().keys()], ['hosts/me', 'endpoints/me/y', 'endpoints/me/w']);
  view.apply({ revision: 8n, events: [event(1, record(keys.endpoint('prod', 'b', 'x'), '', 4n))] });
  assert.equal(seen(view), ['b:x,z:10.0.0.16/28'], 'older than what is known');
  view.apply({ revision: 9n, events: [event(1, record(keys.endpoint('prod', 'b', 'x'), '', 9n))] });
  assert.equal(seen(view), ['b:z:10.0.0.16/28']);
});

test('what a later snapshot lacks stays for a moment, unless it is said again or deleted', () => {
  let now = 0;
  const view = new NetworkView(prefix, 'me', () => now);
  view.reset({ revision: 9n, entries: [host('b', 9n), container('b', 'x', 9n), container('b', 'y', 9n)] });
  // A backup from before: its revisions are lower.
  view.reset({ revision: 3n, entries: [host('b', 2n)] });
  assert.equal(seen(view), ['b:x,y:']);
  view.apply({ revision: 4n, events: [event(0, container('b', 'x', 4n))] });
  now = 1600;
  assert.is(view.fade(), true);
  assert.equal(seen(view), ['b:x:']);
  assert.is(view.fade(), false);
});

test('nonsense in the store is counted and left out, whatever it is', () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (rest, value) => {
      const view = new NetworkView(prefix, 'me');
      const entries = [host('b'), record(`${prefix}hosts/c`, value), record(`${prefix}endpoints/b/x`, value)];
      view.reset({ revision: 1n, entries: [...entries, record(prefix + rest, value)] });
      assert.ok(view.parts().length >= 1);
      readKey(rest);
    }),
  );
});

test('keys: read as they were written; a prefix ends before its neighbour', () => {
  const rest = (key: string) => readKey(key.slice(prefix.length));
  assert.equal(rest(keys.host('prod', 'n')), { kind: 'host', node: 'n' });
  assert.equal(rest(keys.endpoint('prod', 'n', 'i')), { kind: 'endpoint', node: 'n', id: 'i' });
  assert.equal(rest(keys.block('prod', 'fd00::/72')), { kind: 'block', block: 'fd00::/72' });
  assert.is(rest(keys.definition('prod')), undefined);
  assert.is(keys.networkOf(keys.block('prod', '10.0.0.0/28')), 'prod');
  assert.is(keys.networkOf(keys.vni(7)), undefined);
  assert.is(Buffer.from(prefixEnd('/a/')).toString(), '/a0');
});

test.run();
