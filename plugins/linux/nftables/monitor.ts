/**
 * Changes to one table by anyone, on the event loop. The kernel announces a transaction as its single changes and then one
 * NFT_MSG_NEWGEN that names the process; they are handed over together.
 */
import { readAttributes, readText } from '../netlink/message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { NFNL_SUBSYS_NFTABLES, nfgenmsgSize } from '../netlink/netfilter.ts';
import { NETLINK_NETFILTER } from '../netlink/socket.ts';
import type { Netns } from '../netns.ts';

// <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>
const NFNLGRP_NFTABLES = 7;
const NFT_MSG_NEWGEN = 15;
const NFTA_GEN_PROC_PID = 2;
const NFTA_GEN_PROC_NAME = 3;
/** In every message but NEWGEN, attribute 1 is the name of the table. */
const NFTA_TABLE = 1;

/** NFT_MSG_*, without those that only ask. */
const events: ReadonlyMap<number, string> = new Map([
  [0, 'new table'],
  [2, 'deleted table'],
  [3, 'new chain'],
  [5, 'deleted chain'],
  [6, 'new rule'],
  [8, 'deleted rule'],
  [9, 'new set'],
  [11, 'deleted set'],
  [12, 'new element'],
  [14, 'deleted element'],
  [18, 'new object'],
  [20, 'deleted object'],
  [22, 'new flowtable'],
  [24, 'deleted flowtable'],
]);

export interface TableTransaction {
  /** What happened to the table, each once: 'deleted rule', 'new element' … */
  readonly events: ReadonlySet<string>;
  /** In the kernel's first process namespace: in a container it differs from what the process itself sees. */
  readonly pid: number;
  readonly process: string;
  /** Made by this process. */
  readonly own: boolean;
}

export interface TableMonitorOptions {
  readonly netns?: Netns;
  /** Name of the table, in any family. */
  readonly table: string;
  readonly onTransaction: (transaction: TableTransaction) => void;
  /** Messages were lost: look at the table again. */
  readonly onLost: () => void;
}

/** Close it to end. */
export function monitorTable({ netns, table, onTransaction, onLost }: TableMonitorOptions): NetlinkMonitor {
  let seen = new Set<string>();
  return new NetlinkMonitor({
    protocol: NETLINK_NETFILTER,
    groups: [NFNLGRP_NFTABLES],
    onMessage: ({ type, body }) => {
      if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return;
      const found = readAttributes(body, nfgenmsgSize);
      if ((type & 0xff) !== NFT_MSG_NEWGEN) {
        const event = events.get(type & 0xff);
        if (event && readText(found.get(NFTA_TABLE) ?? Buffer.alloc(0)) === table) seen.add(event);
        return;
      }
      if (seen.size === 0) return;
      const pid = found.get(NFTA_GEN_PROC_PID)?.readUInt32BE() ?? 0;
      const transaction = { events: seen, pid, process: readText(found.get(NFTA_GEN_PROC_NAME) ?? Buffer.alloc(0)) };
      seen = new Set();
      onTransaction({ ...transaction, own: pid === process.pid });
    },
    onLost: () => {
      seen = new Set();
      onLost();
    },
    ...(netns && { netns }),
  });
}
