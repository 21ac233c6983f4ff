/** A stream of numbered lines, and the question whether all of them are somewhere. */
import { setTimeout as pause } from 'node:timers/promises';
import { encodeLogFrame } from '../../plugins/sdk/index.ts';
import { eventually } from './deadline.ts';
import type { LogSession } from './log-session.ts';

export async function writeNumbered(session: LogSession, from: number, to: number, text = ''): Promise<void> {
  for (let number = from; number < to; number++) await session.write(`number ${number} end ${text}`);
}

export interface Flow {
  /** Lines of a burst, at most. */
  readonly lines: number;
  /** Between two, at most. */
  readonly restMs: number;
}

/** Bursts of numbered lines of various lengths, until told to stop; returns how many. */
export async function flood(
  session: LogSession,
  stopped: () => boolean,
  { lines, restMs }: Flow = { lines: 400, restMs: 3 },
): Promise<number> {
  let number = 0;
  while (!stopped()) {
    const burst: Buffer[] = [];
    const size = 1 + Math.floor(Math.random() * lines);
    for (let index = 0; index < size; index++) {
      const line = Buffer.from(`number ${number++} end ${'x'.repeat(Math.floor(Math.random() * 200))}`);
      const source = number % 7 ? 'stdout' : 'stderr';
      burst.push(encodeLogFrame({ source, timeNano: BigInt(number), line, partial: false }));
    }
    await session.writeRaw(Buffer.concat(burst));
    await pause(Math.random() * restMs);
  }
  return number;
}

export function numbersIn(text: string): number[] {
  return [...text.matchAll(/number (\d+) end/g)].map(([, number]) => Number(number));
}

/** What drop records say. */
export function droppedIn(text: string): number {
  return [...text.matchAll(/cleat: (\d+) lines? \(\d+ bytes\) dropped here/g)].reduce(
    (sum, [, lines]) => sum + Number(lines),
    0,
  );
}

/** Numbers 0 to count - 1 are there at least once. */
export async function allArrive(text: () => string, count: number, timeoutMs = 60_000): Promise<void> {
  await eventually(`${count} lines arrive`, () => new Set(numbersIn(text())).size >= count, {
    timeoutMs,
    everyMs: 200,
  }).catch((error: unknown) => {
    const there = new Set(numbersIn(text()));
    const missing = Array.from({ length: count }, (_, number) => number).filter((number) => !there.has(number));
    throw new Error(`${missing.length} of ${count} lines are missing: ${missing.slice(0, 10)}; ${error}`);
  });
}
