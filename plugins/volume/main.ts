/** cleat-volumed: the volume drivers as a daemon of its own. */
import { runDaemon } from '../sdk/daemon.ts';
import { startVolumeService } from './service.ts';

await runDaemon({
  name: 'volumed',
  about: 'Volumes for container engines: cleat-local, cleat-nfs and cleat-tmpfs.',
  start: (context) => startVolumeService(context),
});
