/** Severities of syslog (RFC 5424 §6.2.1), which GELF uses too, from the stream or from the line itself. */
import type { Message } from './message.ts';

const INFO = 6;
const ERROR = 3;

const words: Readonly<Record<string, number>> = {
  emerg: 0,
  emergency: 0,
  panic: 0,
  alert: 1,
  crit: 2,
  critical: 2,
  fatal: 2,
  err: 3,
  error: 3,
  severe: 3,
  warn: 4,
  warning: 4,
  notice: 5,
  info: 6,
  information: 6,
  debug: 7,
  trace: 7,
  verbose: 7,
};
const word = Object.keys(words)
  .sort((a, b) => b.length - a.length)
  .join('|');

/** In this order: <3> as systemd has it, "level":"error" or level=error, [ERROR] or ERROR near the start, E0102 as glog has it. */
const kernelPrefix = /^<([0-7])>/;
const field = new RegExp(
  `["']?(?:level|lvl|severity|log\\.level)["']?\\s*[=:]\\s*["']?(?:(${word})\\b|(\\d{1,2})\\b)`,
  'i',
);
const leading = new RegExp(`^(?:[^A-Za-z]*|.{0,48}?[\\s[|(])(${word.toUpperCase()})(?=[\\s\\]:|)-])`);
const glog = /^([EWIF])\d{4} \d\d:/;
const glogLevels: Readonly<Record<string, number>> = { F: 2, E: 3, W: 4, I: 6 };
/** A level further on is not the line's own. */
const lookAt = 512;

/** As Docker's drivers: 6 for stdout, 3 for stderr. */
export function streamSeverity(message: Message): number {
  return message.stderr ? ERROR : INFO;
}

export function lineSeverity(message: Message): number {
  const text = message.line.toString('latin1', 0, lookAt);
  const prefix = kernelPrefix.exec(text)?.[1];
  if (prefix !== undefined) return Number(prefix);
  const [, name, number] = field.exec(text) ?? [];
  if (name !== undefined) return words[name.toLowerCase()] ?? INFO;
  if (number !== undefined) return numericSeverity(Number(number));
  const start = leading.exec(text)?.[1];
  if (start !== undefined) return words[start.toLowerCase()] ?? INFO;
  const letter = glog.exec(text)?.[1];
  return letter === undefined ? streamSeverity(message) : (glogLevels[letter] ?? INFO);
}

/** 0 to 7 are severities already; 10 to 60 are the levels of bunyan and pino. */
function numericSeverity(level: number): number {
  if (level < 8) return level;
  if (level >= 60) return 2;
  if (level >= 50) return ERROR;
  if (level >= 40) return 4;
  return level >= 30 ? INFO : 7;
}
