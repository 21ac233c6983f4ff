/** What a container's log knows of the sending of its lines; sender.ts does it. */

import type { GrowingLog } from '../read-log.ts';

export interface DeliveryStats {
  readonly destination: string;
  /** Lines and bytes of log text that a server has taken. */
  readonly sentLines: number;
  readonly sentBytes: number;
  /** On disk and not sent yet. */
  readonly spooledBytes: number;
  /** Age of the oldest line that no server has confirmed; 0 when there is none. */
  readonly lagMs: number;
  readonly reconnects: number;
  readonly droppedLines: number;
  readonly connected: boolean;
  readonly lastError: string | undefined;
}

export interface Delivery {
  /** Harmless when it runs already. The log tells when no session writes to it any more. */
  start(growing: GrowingLog): void;
  /** Something was written, or the last session ended. */
  notify(): void;
  /** Closes the connection; what is not sent stays on disk. */
  stop(): void;
  /** Everything that was written is sent and acknowledged as far as the protocol can. */
  readonly caughtUp: boolean;
  /** False: the spool is full and the container has to wait (mode=blocking). */
  readonly accepts: boolean;
  /** True: the spool is full and new lines are dropped (drop=newest). */
  readonly refusesNew: boolean;
  /** Whether a server has everything of that journal file. */
  isSent(sequence: number): boolean;
  /** Gives up the oldest file with lines that are not sent; counted and told. False when there is none. */
  dropOldest(): boolean;
  stats(): DeliveryStats;
}
