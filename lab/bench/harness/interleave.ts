/** Fair measuring: the candidates take turns, in alternating order, so that what the machine does meanwhile hits both. */

export interface Samples {
  readonly ours: readonly number[];
  readonly peer: readonly number[];
}

export interface Pair {
  /** Returns the measured value: a time in ms, a rate. */
  ours(round: number): Promise<number>;
  peer(round: number): Promise<number>;
}

/** One unmeasured round first. */
export async function interleave(rounds: number, pair: Pair): Promise<Samples> {
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const first = round % 2 === 0;
    const a = first ? await pair.ours(round) : await pair.peer(round);
    const b = first ? await pair.peer(round) : await pair.ours(round);
    if (round < 0) continue;
    ours.push(first ? a : b);
    peer.push(first ? b : a);
  }
  return { ours, peer };
}

export async function timeMs(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('no values, no median');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
