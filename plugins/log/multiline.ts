/** Lines that belong together (a stack trace): the options that say which, the same for every driver. */
import { duration, flag, text } from '../sdk/option-kinds.ts';
import type { OptionValues } from '../sdk/options.ts';
import { parseGoRegExp } from './go-regexp.ts';

export interface MultilineRule {
  /** Whether the line goes on with the message before it. */
  continues(line: Buffer): boolean;
  /** How long the next line may take. */
  readonly timeoutMs: number;
}

export const multilineOptions = {
  multilineStart: text('multiline-start'),
  multilineIndent: flag('multiline-indent', { otherwise: false }),
  multilineTimeout: duration('multiline-timeout', { min: 10, max: 600_000, otherwise: 1000 }),
};

const indent = /^[ \t]/;
/** A rule looks at the beginning of a line. */
const lookAt = 4096;

export function multilineRule(
  values: OptionValues<typeof multilineOptions>,
  driver: string,
): MultilineRule | undefined {
  const { multilineStart, multilineIndent, multilineTimeout: timeoutMs } = values;
  const start = multilineStart === undefined ? undefined : parseGoRegExp(multilineStart, 'multiline-start', driver);
  if (start === undefined && !multilineIndent) return undefined;
  return {
    timeoutMs,
    continues(line) {
      const beginning = line.toString('utf8', 0, lookAt);
      if (multilineIndent && indent.test(beginning)) return true;
      return start !== undefined && !start.test(beginning);
    },
  };
}
