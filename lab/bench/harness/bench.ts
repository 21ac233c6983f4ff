/** What a bench is: a file lab/bench/NAME.ts that exports `bench`. */

/** One comparison. Both values are in the same unit; smaller is better unless `rate` is true. */
export interface Figure {
  /** Part of the closing line `NAME-VARIANT ratio R`. */
  readonly variant: string;
  readonly ours: number;
  /** undefined: there is nothing to compare with; then no ratio is printed, and `note` says why. */
  readonly peer: number | undefined;
  readonly unit: string;
  /** A rate (requests per second, bits per second): more is better, and the ratio is its inverse. */
  readonly rate?: boolean;
  readonly note?: string;
}

export interface BenchContext {
  /** How often each thing is measured where a bench leaves that open. */
  readonly rounds: number;
  /** Progress, on standard error. */
  say(text: string): void;
}

export interface Bench {
  /** The file's name. */
  readonly name: string;
  /** One sentence: the question that it answers, and who the peer is. */
  readonly about: string;
  /** Default number of rounds. */
  readonly rounds: number;
  run(context: BenchContext): Promise<readonly Figure[]>;
}

/** Our cost divided by the peer's: below 1 is better for us. */
export function ratioOf(figure: Figure): number | undefined {
  const { ours, peer, rate } = figure;
  if (peer === undefined || ours <= 0 || peer <= 0) return undefined;
  return rate ? peer / ours : ours / peer;
}
