/** The lab's scripts about logs and volumes hold what they claim. */
import { test } from 'uvu';
import { isAboutStorage, labScripts, testOnDocker } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10');

await testOnDocker(labScripts.filter(isAboutStorage));

test.run();
