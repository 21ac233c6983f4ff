/** The `process` part of the runtime specification: the same for a container's first process and for exec sessions. */
import type { ProcessUser } from './user.ts';

export interface ProcessRequest {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly terminal: boolean;
  readonly user: ProcessUser;
  /** `CAP_…` names. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly rlimits: readonly Rlimit[];
}

export interface Rlimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

export function makeProcess(request: ProcessRequest): object {
  const { args, env, cwd, terminal, user, capabilities, rlimits } = request;
  // As Docker does: ambient stays empty, and a user other than root keeps only the bounding set.
  const effective = user.uid === 0 ? capabilities : [];
  return {
    terminal,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args,
    env,
    cwd,
    capabilities: { bounding: capabilities, effective, permitted: effective },
    noNewPrivileges: request.noNewPrivileges,
    oomScoreAdj: request.oomScoreAdj,
    ...(rlimits.length === 0 ? {} : { rlimits: rlimits.map(toRlimit) }),
  };
}

function toRlimit({ Name, Soft, Hard }: Rlimit): object {
  return { type: `RLIMIT_${Name.toUpperCase()}`, soft: unsigned(Soft), hard: unsigned(Hard) };
}

/** -1 is no limit: RLIM_INFINITY, the largest 64-bit number, which JSON.stringify cannot write. */
function unsigned(limit: number): number | string {
  return limit < 0 ? unlimitedMark : limit;
}

const unlimitedMark = '\u0000unlimited';

/** The specification as the runtime reads it. */
export function specText(spec: object): string {
  return JSON.stringify(spec).replaceAll('"\\u0000unlimited"', '18446744073709551615');
}
