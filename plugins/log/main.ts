/** cleat-logd: the log drivers as a daemon of its own. */
import { runDaemon } from '../sdk/daemon.ts';
import { startLogService } from './service.ts';

await runDaemon({
  name: 'logd',
  about: 'Serves the log drivers cleat-json-file, cleat-syslog and cleat-gelf.',
  start: startLogService,
});
