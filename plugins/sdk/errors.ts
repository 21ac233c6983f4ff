/**
 * The one error type that drivers throw on purpose. The server turns it into the reply that each subsystem's engine side
 * understands (`Err`, or `Error` for IPAM); anything else that is thrown is a bug and is reported as PROTO_INTERNAL.
 */
import { type ErrorCode, errorCodes } from './error-codes.ts';

export interface PluginErrorOptions {
  /** What the user can do about it: one clause, imperative, no final stop. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** What went wrong, with the values, written for the person who reads it behind `docker run`. */
export class PluginError extends Error {
  override readonly name: string = 'PluginError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: PluginErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  /** The single line that reaches the engine: `message; hint [CODE]`. */
  get line(): string {
    const hint = this.hint ? `; ${oneLine(this.hint, LONGEST_HINT)}` : '';
    return `${oneLine(this.message, LONGEST_MESSAGE)}${hint} [${this.code}]`;
  }
}

/** The line for any thrown value; a value that is no PluginError is a defect, and says so. */
export function errorLine(error: unknown): string {
  if (error instanceof PluginError) return error.line;
  const text = error instanceof Error ? error.message : String(error);
  return `internal error: ${oneLine(text, LONGEST_MESSAGE)} [PROTO_INTERNAL]`;
}

/** Messages repeat what was given, which may be huge; hints list what is known. */
const LONGEST_MESSAGE = 1000;
const LONGEST_HINT = 4000;

/** What terminals and log files can show: no line ends, no control characters, not without end. */
function oneLine(text: string, longest: number): string {
  const line = text.replaceAll(/\s*\n\s*/g, ' ').replaceAll(/\p{Cc}/gu, '\ufffd');
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}
