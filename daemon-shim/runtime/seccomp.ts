/**
 * Seccomp profiles in Docker's form, and what the OCI runtime gets of them: rules that need a capability, a processor or a
 * kernel that is not there are left out. Source: Docker's profile format; OCI runtime-spec, config-linux.md, "Seccomp".
 */
import { release } from 'node:os';
import { badRequest } from '../api/api-error.ts';

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

interface SeccompCondition {
  readonly caps?: readonly string[];
  /** Go's names of processors. */
  readonly arches?: readonly string[];
  /** `4.8`. */
  readonly minKernel?: string;
}

export interface SeccompRule {
  /** One name, in profiles of old. */
  readonly name?: string;
  readonly names?: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[] | null;
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] | null }[];
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompFacts {
  /** `CAP_…` names in the bounding set. */
  readonly capabilities: readonly string[];
  readonly architecture?: string;
  /** `6.1.0`. */
  readonly kernel?: string;
}

const nativeArchitecture: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: 'x86',
  arm64: 'arm64',
  arm: 'arm',
  s390x: 's390x',
  ppc64: 'ppc64le',
  riscv64: 'riscv64',
};

const seccompArchitecture: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  x86: 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
  s390x: 'SCMP_ARCH_S390X',
  ppc64le: 'SCMP_ARCH_PPC64LE',
  riscv64: 'SCMP_ARCH_RISCV64',
};

/** The JSON of `--security-opt seccomp=FILE`, which the docker command sends as text. Throws Docker's 400. */
export function parseSeccompProfile(text: string): SeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badRequest(`Decoding seccomp profile failed: ${(error as Error).message}`);
  }
  const profile = value as Partial<SeccompProfile> | null;
  if (typeof profile !== 'object' || profile === null || typeof profile.defaultAction !== 'string')
    throw badRequest('Decoding seccomp profile failed: it has no defaultAction');
  if (profile.archMap && profile.archMap.length > 0 && profile.architectures && profile.architectures.length > 0)
    throw badRequest(
      "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  if (profile.syscalls !== undefined && profile.syscalls !== null && !Array.isArray(profile.syscalls))
    throw badRequest('Decoding seccomp profile failed: syscalls must be a list');
  return { ...profile, defaultAction: profile.defaultAction, syscalls: profile.syscalls ?? [] };
}

/** `linux.seccomp` of the runtime specification. Pure. */
export function seccompForRuntime(profile: SeccompProfile, facts: SeccompFacts): object {
  const architecture = facts.architecture ?? nativeArchitecture[process.arch] ?? process.arch;
  const kernel = facts.kernel ?? release();
  const { defaultAction, defaultErrnoRet, flags, listenerPath, listenerMetadata } = profile;
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    architectures: architecturesOf(profile, architecture),
    ...(flags ? { flags } : {}),
    ...(listenerPath ? { listenerPath } : {}),
    ...(listenerMetadata ? { listenerMetadata } : {}),
    syscalls: profile.syscalls
      .filter((rule) => applies(rule, { capabilities: facts.capabilities, architecture, kernel }))
      .map(({ name, names, action, errnoRet, args }) => ({
        names: names && names.length > 0 ? names : name === undefined ? [] : [name],
        action,
        ...(errnoRet === undefined ? {} : { errnoRet }),
        ...(args && args.length > 0 ? { args } : {}),
      })),
  };
}

function architecturesOf(profile: SeccompProfile, architecture: string): readonly string[] {
  if (profile.architectures && profile.architectures.length > 0) return profile.architectures;
  const native = seccompArchitecture[architecture];
  const mapped = profile.archMap?.find((entry) => entry.architecture === native);
  return mapped === undefined ? [] : [mapped.architecture, ...(mapped.subArchitectures ?? [])];
}

function applies({ includes = {}, excludes = {} }: SeccompRule, facts: Required<SeccompFacts>): boolean {
  const has = (capability: string) => facts.capabilities.includes(capability);
  if (excludes.arches?.includes(facts.architecture) || excludes.caps?.some(has)) return false;
  if (excludes.minKernel !== undefined && atLeast(facts.kernel, excludes.minKernel)) return false;
  if (includes.arches && includes.arches.length > 0 && !includes.arches.includes(facts.architecture)) return false;
  if (includes.caps && !includes.caps.every(has)) return false;
  return includes.minKernel === undefined || atLeast(facts.kernel, includes.minKernel);
}

function atLeast(kernel: string, wanted: string): boolean {
  const numbers = (text: string) => text.split(/[^0-9]+/).map(Number);
  const [major = 0, minor = 0] = numbers(kernel);
  const [wantedMajor = 0, wantedMinor = 0] = numbers(wanted);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
