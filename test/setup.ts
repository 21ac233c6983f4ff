/** What the tests need besides Node: Debian packages, the newer engine's root, images. Says what it does; quick when all is there. */
import { installPackages } from '../lab/setup/debian.ts';
import { ensureImageArchive } from '../lab/setup/images.ts';
import { runtimePackages, testPackages } from '../lab/setup/packages.ts';
import { ensureSidRoot } from '../lab/setup/sid-root.ts';
import { say } from '../lab/setup/step.ts';
import { ensureUmlPreload } from '../lab/setup/uml.ts';

const begin = performance.now();
installPackages([...runtimePackages, ...testPackages]);
ensureImageArchive('busybox');
ensureImageArchive('tools');
ensureSidRoot();
if (process.arch === 'x64') ensureUmlPreload();
say(`set up in ${((performance.now() - begin) / 1000).toFixed(0)} s`);
