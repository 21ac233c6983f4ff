/** The lab's scripts on cleat-shim: every claim in them holds there as it does on Docker (lab.test.ts). */
import { test } from 'uvu';
import { labScripts, passes } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'overlayfs', 'program:docker', 'program:conmon', 'program:conntrack');

for (const script of labScripts) test(script, () => passes(script, '--shim'));

test.run();
