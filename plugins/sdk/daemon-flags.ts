/** Flags that every daemon takes, and the configuration file behind them. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readVersion } from './version.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface DaemonFlags {
  /** Explicitly given file must exist; the default one may be missing. */
  readonly configFile: string;
  readonly configGiven: boolean;
  /** The given file has an object for each daemon, by its name. */
  readonly sections?: boolean;
  readonly runDir: string;
  readonly stateDir: string;
  readonly pluginDir: string;
  readonly logLevel: LogLevel;
}

export type FlagsResult =
  | { readonly kind: 'run'; readonly flags: DaemonFlags }
  | { readonly kind: 'text'; readonly text: string };

/** A wrong flag or a configuration file that cannot be used; ends the daemon with status 2. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

export function parseDaemonFlags(name: string, about: string, argv: readonly string[]): FlagsResult {
  const values = parseValues(name, argv);
  if (values.help) return { kind: 'text', text: helpText(name, about) };
  if (values.version) return { kind: 'text', text: `cleat-${name} ${readVersion()}` };
  const logLevel = logLevels.find((level) => level === values['log-level']);
  if (logLevel === undefined) {
    throw new UsageError(`--log-level "${values['log-level']}" is not one of ${logLevels.join(', ')}`);
  }
  return {
    kind: 'run',
    flags: {
      configFile: values.config ?? defaultConfigFile(name),
      configGiven: values.config !== undefined,
      runDir: values['run-dir'],
      stateDir: values['state-dir'],
      pluginDir: values['plugin-dir'],
      logLevel,
    },
  };
}

/** The configuration of a daemon; `{}` when the default file, or the daemon's section, does not exist. */
export function readConfig(
  name: string,
  flags: Pick<DaemonFlags, 'configFile' | 'configGiven' | 'sections'>,
): Readonly<Record<string, unknown>> {
  const whole = readConfigFile(flags);
  if (!flags.sections || !flags.configGiven) return whole;
  const section = whole[name] ?? {};
  if (!isObject(section)) throw new UsageError(`configuration file ${flags.configFile}: "${name}" must be an object`);
  return section;
}

/** The file as it is; `{}` when the default one does not exist. */
export function readConfigFile(
  flags: Pick<DaemonFlags, 'configFile' | 'configGiven'>,
): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(flags.configFile, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && !flags.configGiven) return {};
    throw new UsageError(`configuration file ${flags.configFile} cannot be read: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`configuration file ${flags.configFile} is no JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw new UsageError(`configuration file ${flags.configFile} must hold one JSON object`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function defaultConfigFile(name: string): string {
  return `/etc/cleat/${name}.json`;
}

const options = {
  config: { type: 'string' },
  'run-dir': { type: 'string', default: '/run/cleat' },
  'state-dir': { type: 'string', default: '/var/lib/cleat' },
  'plugin-dir': { type: 'string', default: '/run/docker/plugins' },
  'log-level': { type: 'string', default: 'info' },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', short: 'V', default: false },
} as const;

function parseValues(name: string, argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; see cleat-${name} --help`);
  }
}

function helpText(name: string, about: string): string {
  return `Usage: cleat-${name} [OPTIONS]

${about}

Options:
  --config FILE       JSON configuration (default ${defaultConfigFile(name)}; SIGHUP reads it again)
  --run-dir DIR       control socket and whatever ends with the machine's run (default /run/cleat)
  --state-dir DIR     records that outlive restarts (default /var/lib/cleat)
  --plugin-dir DIR    where the engine looks for plugin sockets (default /run/docker/plugins)
  --log-level LEVEL   ${logLevels.join(', ')} (default info)
  -h, --help          this text
  -V, --version       the version

Several sets of daemons run side by side when each has its own three folders.
Exit codes: 0 stopped on request, 1 could not start, 2 wrong use.

Examples:
  cleat-${name}
  cleat-${name} --log-level debug --config /etc/cleat/${name}.json`;
}
