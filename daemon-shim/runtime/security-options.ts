/** `--security-opt`, in Docker's forms `key=value` and, as of old, `key:value`. */
import { readFileSync } from 'node:fs';
import { badRequest, notSupported } from '../api/api-error.ts';
import { parseSeccompProfile, type SeccompProfile } from './seccomp.ts';
import { defaultSeccompProfile } from './seccomp-default.ts';

export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** Undefined: unconfined. */
  readonly seccomp: SeccompProfile | undefined;
  /** `/sys/fs/cgroup` may be written. */
  readonly writableCgroups: boolean;
}

/** What holds for containers that say nothing: `--no-new-privileges` and `--seccomp-profile` of the engine. */
export interface SecurityDefaults {
  readonly noNewPrivileges: boolean;
  /** A file, `unconfined`, or `builtin` (as is nothing). */
  readonly seccompProfile: string;
}

/** Throws Docker's 400, and 501 for what needs a security module that the shim does not drive. */
export function parseSecurityOptions(options: readonly string[], defaults: SecurityDefaults): SecurityOptions {
  let parsed: SecurityOptions = {
    noNewPrivileges: defaults.noNewPrivileges,
    seccomp: engineProfile(defaults.seccompProfile),
    writableCgroups: false,
  };
  for (const option of options) parsed = { ...parsed, ...parseOption(option) };
  return parsed;
}

function engineProfile(name: string): SeccompProfile | undefined {
  if (name === 'unconfined') return undefined;
  if (name === '' || name === 'builtin' || name === 'default') return defaultSeccompProfile;
  return parseSeccompProfile(readFileSync(name, 'utf8'));
}

function parseOption(option: string): Partial<SecurityOptions> {
  if (option === 'no-new-privileges') return { noNewPrivileges: true };
  if (option === 'disable') return {};
  const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
  if (at < 0) throw badRequest(`invalid --security-opt 1: ${JSON.stringify(option)}`);
  const [name, value] = [option.slice(0, at), option.slice(at + 1)];
  switch (name) {
    case 'no-new-privileges':
      return { noNewPrivileges: parseBoolean(value, option) };
    case 'writable-cgroups':
      return { writableCgroups: parseBoolean(value, option) };
    case 'seccomp':
      if (value === 'unconfined') return { seccomp: undefined };
      if (value === 'builtin') return { seccomp: defaultSeccompProfile };
      return { seccomp: parseSeccompProfile(value) };
    case 'apparmor':
      if (value === 'unconfined' || value === '') return {};
      throw notSupported(
        `AppArmor profile ${value} cannot be applied: cleat does not load AppArmor profiles; use --security-opt apparmor=unconfined`,
      );
    case 'label':
      if (value === 'disable') return {};
      throw notSupported(
        `SELinux label option ${value} cannot be applied: cleat does not set SELinux labels; use --security-opt label=disable`,
      );
    default:
      throw badRequest(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  }
}

function parseBoolean(value: string, option: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw badRequest(`invalid --security-opt 2: ${JSON.stringify(option)}`);
}
