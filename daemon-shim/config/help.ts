/** `cleat-shim --help`. */
import type { OptionSpec } from './option.ts';
import { dockerOptions, foreignOptions, ownOptions } from './options.ts';

const nameColumn = 34;

export function helpText(): string {
  return `Usage: cleat-shim [OPTIONS]

A minimal engine for containers that the stock docker command drives; networks, volumes and logs are plugins.

Options:
${[...ownOptions, ...dockerOptions]
  .sort((a, b) => (a.name < b.name ? -1 : 1))
  .map(line)
  .join('\n')}

Accepted with a warning, because nothing here depends on them:
${wrap(foreignOptions.filter((option) => option.ignored !== undefined).map((option) => `--${option.name}`))}

Refused with the reason, unless they have a harmless value:
${wrap(foreignOptions.filter((option) => option.refused !== undefined).map((option) => `--${option.name}`))}

The configuration file has dockerd's keys (daemon.json). A setting is either a flag or in the file. SIGHUP reads the file
again and takes over debug, labels, live-restore, runtimes, default-runtime and shutdown-timeout.
Exit codes: 0 stopped on request, 1 could not start, 2 wrong use.

Examples:
  cleat-shim                                      docker -H unix:///run/cleat/docker.sock ps
  cleat-shim --data-root /srv/cleat --debug
  cleat-shim --validate --config-file /etc/docker/daemon.json`;
}

function line(option: OptionSpec): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  const kind = option.kind === 'flag' ? '' : ` ${option.kind === 'integer' ? 'int' : option.kind}`;
  const name = `  ${short}--${option.name}${kind}`;
  const otherwise = option.default === undefined ? '' : ` (default ${option.default})`;
  return `${name.padEnd(nameColumn)} ${option.help}${otherwise}`;
}

function wrap(names: readonly string[]): string {
  const lines: string[] = [];
  for (const name of [...names].sort()) {
    const last = lines.at(-1);
    if (last === undefined || last.length + name.length > 110) lines.push(`  ${name}`);
    else lines[lines.length - 1] = `${last} ${name}`;
  }
  return lines.join('\n');
}
