/**
 * Regular expressions as users of Docker write them: Go's RE2 syntax, in time that grows with the text and not with a power of it.
 * A container's owner gives both pattern and text, so JavaScript's own would let one container hold up the daemon.
 */
import { createRequire } from 'node:module';
import { PluginError } from '../sdk/errors.ts';

export interface GoRegExp {
  /** Whether it matches anywhere in the text. */
  test(text: string): boolean;
}

const require = createRequire(import.meta.url);

/** Throws PROTO_OPTION with the option's name. */
export function parseGoRegExp(pattern: string, option: string, driver: string): GoRegExp {
  // Its tables are 12 MB, which only those pay who use a pattern.
  const { RE2JS } = require('re2js') as typeof import('re2js');
  try {
    const compiled = RE2JS.compile(pattern);
    return { test: (text) => compiled.test(text) };
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new PluginError('PROTO_OPTION', `${driver}: option ${option}=${pattern} is no regular expression: ${text}`, {
      hint: 'use the syntax of Go (RE2)',
      cause,
    });
  }
}
