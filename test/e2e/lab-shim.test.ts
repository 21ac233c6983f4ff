/** Lab scripts on cleat-shim: every claim in them holds there as it does on Docker (lab.test.ts, where all of them run). */
import { test } from 'uvu';
import { labScripts, passes } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'overlayfs', 'program:docker', 'program:conmon', 'program:conntrack');

/** What depends on the engine more than on a driver: its namespaces, links, names, execs, volumes. */
const scripts =
  /^(bridge-isolation|capture|firewall-drop|links|network-modes|network-performance|open-ports|volume-quota)\.sh$/;

for (const script of labScripts.filter((name) => scripts.test(name))) test(script, () => passes(script, '--shim'));

test.run();
