/** One thing that a driver needs from this host, looked at without changing anything. */

export type CheckState = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly state: CheckState;
  /** What was seen. */
  readonly detail: string;
  /** The command that mends it. */
  readonly mend?: string;
}

export interface Check {
  /** Who needs it: a driver's name, or `all`. */
  readonly driver: string;
  readonly subject: string;
  look(): Promise<Finding> | Finding;
}

export const ok = (detail: string): Finding => ({ state: 'ok', detail });
export const warn = (detail: string, mend?: string): Finding => ({ state: 'warn', detail, ...(mend ? { mend } : {}) });
export const fail = (detail: string, mend?: string): Finding => ({ state: 'fail', detail, ...(mend ? { mend } : {}) });
