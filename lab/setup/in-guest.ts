/** Runs a lab script in a guest kernel, for what this machine's kernel lacks: `in-guest.ts SCRIPT`. */
import { inGuest } from '../../test/support/guest.ts';
import { installPackages } from './debian.ts';
import { say } from './step.ts';

const [script] = process.argv.slice(2);
if (script === undefined) throw new Error('name a script');
installPackages(['user-mode-linux', 'nfs-kernel-server', 'nfs-common', 'curl']);
say('running in a guest kernel');
const { code, output } = await inGuest(`CLEAT_LAB_STAGE=guest CLEAT_LAB_IMAGE=none exec bash '${script}'`);
process.stdout.write(output);
process.exitCode = code;
