import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ipToBytes, parseIp } from '../address/ip.ts';
import { FairShare } from './fair-share.ts';
import { Forwarder } from './forwarder.ts';
import { PeerViews } from './peer-views.ts';
import { Stats } from './stats.ts';
import { View } from './view.ts';

const view = (label: string): View =>
  new View({ label, zones: [], forwarder: new Forwarder([], () => 0), stats: new Stats() });

/** As DatagramArena.peerHash for IPv4. */
const hash4 = (text: string): number => Buffer.from(ipToBytes(parseIp(text))).readUInt32BE(0);

test('clients of one network see it; one that is on more sees more, by its whole address', () => {
  const [base, wider] = [view('a'), view('a+b')];
  const views = new PeerViews(base);
  assert.is(views.only, base);
  views.set(base, [
    { ip: parseIp('192.0.2.7'), view: wider },
    { ip: parseIp('2001:db8::7'), view: wider },
  ]);
  assert.is(views.only, undefined);
  const find = (text: string) => views.find(hash4(text), () => ipToBytes(parseIp(text)));
  assert.is(find('192.0.2.7'), wider);
  assert.is(find('192.0.2.8'), base);
  const collision = views.find(hash4('192.0.2.7'), () => ipToBytes(parseIp('2001:db8::8')));
  assert.is(collision, base, 'the same hash is not the same address');
  assert.is(views.findByText('2001:db8::7'), wider);
  assert.is(views.findByText('2001:db8::8'), base);
  views.set(base, []);
  assert.is(views.only, base);
});

test('a client that is alone has everything, in company its share', () => {
  const share = new FairShare();
  share.beginBatch(0);
  for (let i = 0; i < 10_000; i++) assert.ok(share.admits(1));
  assert.ok(share.admits(2), 'a newcomer is heard at once');
  assert.not(share.admits(1), 'and the loud one has had its share');
  share.beginBatch(50);
  assert.not(share.admits(1));
  share.beginBatch(100);
  assert.ok(share.admits(1), 'until the next tenth of a second');
});

test.run();
