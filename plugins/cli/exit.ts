/** Exit codes of every command, and the failure that carries one. */

export const exitCodes = {
  ok: 0,
  /** The thing failed, or was not found. */
  failed: 1,
  usage: 2,
  /** The daemon that has to answer is not reachable (EX_UNAVAILABLE of sysexits.h). */
  unavailable: 69,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with one line on standard error. */
export class CommandFailure extends Error {
  override readonly name: string = 'CommandFailure';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
