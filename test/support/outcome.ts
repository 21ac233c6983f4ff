/** What a test process's output says: uvu's closing table, and our `# skip: reason` lines. */
import type { Limited } from './limited.ts';

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly reasons: readonly string[];
  /** Why the process itself is a failure, whatever its tests said. */
  readonly broken?: string;
}

export function readOutcome(end: Limited): Outcome {
  const reasons = [...end.output.matchAll(/^# skip: (.*)$/gm)].map((match) => match[1] as string);
  // Several tables when a file runs uvu more than once: they add up.
  const sum = (word: string): number =>
    [...end.output.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce(
      (all, match) => all + Number(match[1]),
      0,
    );
  const total = sum('Total');
  const passed = sum('Passed');
  // uvu counts skipped tests beside the total, not in it.
  const failed = total - passed;
  const skipped = sum('Skipped') + reasons.length;
  const broken = whyBroken(end, total, failed, skipped);
  if (broken === undefined) return { passed, failed, skipped, reasons };
  return { passed, failed: Math.max(failed, 1), skipped, reasons, broken };
}

function whyBroken(end: Limited, total: number, failed: number, skipped: number): string | undefined {
  if (end.timedOut) return `ended after ${Math.round(end.ms / 1000)} s, its limit`;
  if (end.code !== 0 && failed === 0) return `ended with ${end.code ?? 'a signal'}`;
  if (total === 0 && skipped === 0) return 'ran no test';
  return undefined;
}
