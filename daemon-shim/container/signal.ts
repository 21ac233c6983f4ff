/** Signals by name or number, as --signal and STOPSIGNAL write them. */
import { constants } from 'node:os';
import { badRequest } from '../api/api-error.ts';

const realTimeMin = 34; // glibc's SIGRTMIN: the first two are the library's own
const realTimeMax = 64;

/** `SIGTERM`, `term`, `15`, `RTMIN+3`. Throws Docker's 400. */
export function parseSignal(text: string): number {
  if (/^[0-9]+$/.test(text)) {
    const number = Number(text);
    // As Docker: a number that is no signal is kept, and refused when it shall be sent.
    if (number >= 1) return number;
    throw badRequest(`invalid signal: ${text}`);
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = (constants.signals as Readonly<Record<string, number>>)[`SIG${name}`] ?? realTimeSignal(name);
  if (number === undefined) throw badRequest(`invalid signal: ${text}`);
  return number;
}

export function isSignal(number: number): boolean {
  return number >= 1 && number <= realTimeMax;
}

function realTimeSignal(name: string): number | undefined {
  const match = /^RT(MIN|MAX)(?:([+-])([0-9]+))?$/.exec(name);
  if (match === null) return undefined;
  const base = match[1] === 'MIN' ? realTimeMin : realTimeMax;
  const number = base + (match[2] === '-' ? -1 : 1) * Number(match[3] ?? 0);
  return number >= realTimeMin && number <= realTimeMax ? number : undefined;
}
