import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Acknowledgements } from './acknowledge.ts';
import type { Connection } from './connection.ts';

/** A connection of which only the acknowledged bytes matter. */
function connection(): Connection & { left: number } {
  return {
    left: 0,
    peer: 'the test',
    send: async () => {},
    unacknowledged() {
      return this.left;
    },
    failed: new Promise<never>(() => {}),
    close: () => {},
  };
}

const at = (offset: number) => ({ sequence: 1, offset });
const megabyte = 1024 * 1024;

test('a position is confirmed when all before it is acknowledged', () => {
  const acknowledgements = new Acknowledgements(0);
  const peer = connection();
  acknowledgements.reset(at(0));
  acknowledgements.sent(100, at(100));
  peer.left = 1;
  assert.is(acknowledgements.confirm(peer), undefined);
  assert.ok(acknowledgements.pending);
  peer.left = 0;
  assert.equal(acknowledgements.confirm(peer), at(100));
  assert.not(acknowledgements.pending);
});

test('what a kernel may hold for a peer that does not read is doubtful, as far as its buffer reaches', () => {
  const acknowledgements = new Acknowledgements(0);
  const peer = connection();
  acknowledgements.reset(at(5));
  assert.equal(acknowledgements.doubtful('stalled'), at(5), 'nothing was confirmed: from the start');
  for (let sent = 1; sent <= 20; sent++) {
    acknowledgements.sent(megabyte, at(5 + sent * megabyte));
    assert.equal(acknowledgements.confirm(peer), at(5 + sent * megabyte));
  }
  assert.equal(acknowledgements.doubtful('stalled'), at(5 + 12 * megabyte), 'the last 8 MB');
  assert.equal(acknowledgements.doubtful('reset'), at(5 + 12 * megabyte));
  acknowledgements.reset(at(7));
  assert.equal(acknowledgements.doubtful('stalled'), at(7), 'another connection');
});

test('many small lines over a long time do not make the memory of it grow', () => {
  const acknowledgements = new Acknowledgements(0);
  const peer = connection();
  acknowledgements.reset(at(0));
  for (let sent = 1; sent <= 20_000; sent++) {
    acknowledgements.sent(1000, at(sent * 1000));
    acknowledgements.confirm(peer);
  }
  const doubtful = acknowledgements.doubtful('stalled');
  const reach = 20_000_000 - 8 * megabyte;
  assert.ok(doubtful !== undefined && doubtful.offset <= reach && doubtful.offset > reach - 2 * megabyte);
});

test.run();
