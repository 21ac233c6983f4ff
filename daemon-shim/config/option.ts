/** One setting: how it is written as a flag and in the configuration file, and what the shim makes of it. */

export type OptionKind =
  | 'text'
  | 'flag'
  | 'integer'
  /** A size: `64m`. */
  | 'bytes'
  | 'list'
  /** `key=value`, repeatable; an object in the file. */
  | 'map'
  /** `driver=key=value`, repeatable. */
  | 'map-of-maps'
  | 'ulimits'
  | 'runtimes'
  | 'pools'
  /** Whatever the file holds: it is not read. */
  | 'any';

export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  /** In the configuration file; default: the flag's name. None: only on the command line. */
  readonly key?: string | null;
  readonly kind: OptionKind;
  readonly help: string;
  /** For --help. */
  readonly default?: string;
  /** SIGHUP takes the file's new value over, as dockerd does for the same key. */
  readonly reloads?: true;
  /** Accepted with this warning: nothing depends on it here. */
  readonly ignored?: string;
  /** Refused with this reason unless it has this harmless value. */
  readonly refused?: { readonly reason: string; readonly unless?: readonly unknown[] };
}

export type OptionValue =
  | string
  | boolean
  | number
  | readonly string[]
  | Readonly<Record<string, string>>
  | Readonly<Record<string, Readonly<Record<string, string>>>>
  | Readonly<Record<string, Ulimit>>
  | Readonly<Record<string, RuntimeEntry>>
  | readonly AddressPool[];

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

export interface RuntimeEntry {
  readonly path: string;
  readonly runtimeArgs?: readonly string[];
}

export interface AddressPool {
  /** CIDR. */
  readonly base: string;
  /** Prefix length of the networks cut from it. */
  readonly size: number;
}

/** By option name. */
export type OptionValues = ReadonlyMap<string, OptionValue>;

/** Wrong use of the command line or of the file; the message is what the user reads. */
export class ConfigError extends Error {
  override readonly name: string = 'ConfigError';
  /** Of the command line: the exit code is 2, and the help is named. */
  readonly usage: boolean;

  constructor(message: string, usage = false) {
    super(message);
    this.usage = usage;
  }
}
