/**
 * cleat-volumed for tests that crash it: kills itself without warning at the step that CLEAT_CRASH_AT names, and believes in
 * the boot that CLEAT_BOOT_ID names.
 */
import { runDaemon } from '../../plugins/sdk/daemon.ts';
import { startVolumeService } from '../../plugins/volume/service.ts';

const crashAt = process.env['CLEAT_CRASH_AT'];
const bootId = process.env['CLEAT_BOOT_ID'];

await runDaemon({
  name: 'volumed',
  about: 'Volumes, with crashes.',
  start: (context) =>
    startVolumeService(context, {
      onStep: (step) => {
        if (step === crashAt) process.kill(process.pid, 'SIGKILL');
      },
      ...(bootId === undefined ? {} : { bootId }),
    }),
});
