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
    return `${this.message}${this.hint ? `; ${this.hint}` : ''} [${this.code}]`.replaceAll(/\s*\n\s*/g, ' ');
  }
}

/** The line for any thrown value; a value that is no PluginError is a defect, and says so. */
export function errorLine(error: unknown): string {
  if (error instanceof PluginError) return error.line;
  const text = error instanceof Error ? error.message : String(error);
  return `internal error: ${text} [PROTO_INTERNAL]`.replaceAll(/\s*\n\s*/g, ' ');
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}
