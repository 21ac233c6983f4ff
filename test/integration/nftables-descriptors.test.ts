/** libnftables in a process with more descriptors than select(2) takes, as a daemon with many sandboxes has. */
import { closeSync, openSync } from 'node:fs';
import { test } from 'uvu';
import { is, match, ok } from 'uvu/assert';
import { createAnonymousNetns, Nftables } from '../../plugins/linux/index.ts';
import { requires } from '../support/requires.ts';

requires('root', 'nftables');

const owned = 'table ip mine { flags owner; chain c { type filter hook input priority 0; policy accept; }; }';

test('contexts are made and run beside 1500 open files, and their tables stay as long as they are kept', () => {
  // A first context while numbers are low, as a daemon has one from its start.
  using first = new Nftables(createAnonymousNetns());
  first.run('add table inet first');
  const files = Array.from({ length: 1500 }, () => openSync('/dev/null', 'r'));
  const held: { close(): void; list(): string }[] = [];
  try {
    for (let index = 0; index < 100; index += 1) {
      const netns = createAnonymousNetns();
      const nft = new Nftables(netns);
      nft.run(owned);
      const table = nft.closeButKeepTables();
      const list = (): string => {
        using look = new Nftables(netns);
        return look.listText('list tables');
      };
      held.push({ close: () => table.close(), list });
    }
    ok(held.every(({ list }) => /table ip mine/.test(list())));
    held[0]?.close();
    is(held[0]?.list(), '');
    match(held[1]?.list() ?? '', /mine/);
    first.run('add table inet second');
  } finally {
    for (const { close } of held) close();
    for (const fd of files) closeSync(fd);
  }
});

test.run();
