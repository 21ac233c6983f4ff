/** `cleat status`: everything that the daemons of this host know, one table for each kind of thing. */
import type { Command } from './command.ts';
import { callControl, runningDaemons } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { formatTable } from './table.ts';

interface StatusOptions extends GlobalOptions {
  readonly kinds?: readonly string[];
}

/** What a daemon answers to GET /status: kind of thing → its objects, all of one shape. */
type Status = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

export const statusCommand: Command<StatusOptions> = {
  command: 'status [kinds..]',
  describe: 'Show networks, endpoints, pools, ports, volumes and log sessions',
  build: (yargs) =>
    yargs
      .positional('kinds', { array: true, type: 'string', describe: 'Only these: networks, endpoints, ports, pools …' })
      .example('$0 status', 'everything')
      .example('$0 status networks ports', 'two kinds')
      .example('$0 status --json', 'for a program'),
  run: async (args) => {
    const daemons = await runningDaemons(args.runDir);
    if (daemons.length === 0) {
      throw new CommandFailure(
        `no daemon answers in ${args.runDir}; start one, or all with: cleat serve`,
        exitCodes.unavailable,
      );
    }
    const parts = await Promise.all(
      daemons.map((daemon) => callControl<Status>(args.runDir, daemon, 'GET', '/status')),
    );
    const status: Status = Object.assign({}, ...parts);
    const kinds = args.kinds?.length ? args.kinds : Object.keys(status);
    const unknown = kinds.find((kind) => !Object.hasOwn(status, kind));
    if (unknown !== undefined) {
      throw new CommandFailure(`"${unknown}" is not one of ${Object.keys(status).join(', ')}`, exitCodes.usage);
    }
    const chosen = kinds.map((kind) => [kind, status[kind] ?? []] as const);
    process.stdout.write(args.json ? `${JSON.stringify(Object.fromEntries(chosen), null, 2)}\n` : formatStatus(chosen));
  },
};

function formatStatus(kinds: readonly (readonly [string, Status[string]])[]): string {
  return kinds.map(([kind, objects]) => `${kind} (${objects.length})\n${formatObjects(objects)}`).join('\n');
}

/** The columns are the fields of all objects, in the order in which they first appear. */
function formatObjects(objects: Status[string]): string {
  if (objects.length === 0) return '';
  const columns = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const header = columns.map((column) => column.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toUpperCase());
  return `${formatTable(
    header,
    objects.map((object) => columns.map((column) => formatCell(object[column]))),
  )}\n`;
}

function formatCell(value: unknown): string | number {
  if (value === undefined || value === null || value === '') return '-';
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(formatCell).join(', ');
  return Object.entries(value)
    .map(([key, item]) => `${key}=${formatCell(item)}`)
    .join(' ');
}
