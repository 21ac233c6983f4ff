/** Options that every verb takes. */

export interface GlobalOptions {
  readonly runDir: string;
  readonly stateDir: string;
  readonly json: boolean;
}

export const globalOptions = {
  'run-dir': { type: 'string', default: '/run/cleat', describe: 'Where the daemons keep their control sockets' },
  'state-dir': { type: 'string', default: '/var/lib/cleat', describe: 'Where the daemons keep their records' },
  json: { type: 'boolean', default: false, describe: 'Print JSON for programs instead of a table' },
} as const;
