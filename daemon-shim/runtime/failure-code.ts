/** Exit codes of what could not be run, from the runtime's words, as Docker gives them. */

/** Anything but the two that a shell knows. */
export const failedExitCode = 128;

/** 127 no such program, 126 it cannot be run. */
export function exitCodeOfFailure(text: string): number {
  if (/permission denied/i.test(text)) return 126;
  if (/executable file not found|no such file or directory|not a directory/i.test(text)) return 127;
  return /is a directory|exec format error/i.test(text) ? 126 : failedExitCode;
}
