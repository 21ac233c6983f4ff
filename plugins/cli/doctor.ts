/** `cleat doctor`: what this host lacks or has set in the way of each driver, and the command that mends it. */

import type { Command } from './command.ts';
import type { Finding } from './doctor/check.ts';
import { networkChecks } from './doctor/network.ts';
import { overlayChecks } from './doctor/overlay.ts';
import { processChecks } from './doctor/process.ts';
import { volumeChecks } from './doctor/volume.ts';
import { exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { print } from './table.ts';

interface DoctorOptions extends GlobalOptions {
  readonly driver?: string;
}

interface Line extends Finding {
  readonly driver: string;
  readonly subject: string;
}

export const doctorCommand: Command<DoctorOptions> = {
  command: 'doctor [driver]',
  describe: 'Say what this host lacks for each driver, and the command that mends it',
  build: (yargs) =>
    yargs
      .positional('driver', { type: 'string', describe: 'Only what concerns this driver' })
      .example('$0 doctor', 'look at everything')
      .example('$0 doctor cleat-nfs --json', 'one driver, for a program'),
  run: async (args) => {
    const all = [...processChecks(args.stateDir), ...networkChecks(), ...overlayChecks(args.runDir), ...volumeChecks()];
    const checks = all.filter(
      (check) => args.driver === undefined || check.driver === args.driver || check.driver === 'all',
    );
    const lines: Line[] = [];
    for (const check of checks) {
      lines.push({ driver: check.driver, subject: check.subject, ...(await check.look()) });
    }
    print(
      args,
      lines,
      ['STATE', 'DRIVER', 'SUBJECT', 'SEEN', 'MEND'],
      lines.map((line) => [line.state, line.driver, line.subject, line.detail, line.mend ?? '']),
    );
    if (lines.some((line) => line.state === 'fail')) process.exitCode = exitCodes.failed;
  },
};
