/**
 * Deletes links off the event loop. The kernel waits 18 ms for each veth, so links that are asked for while one deletion runs
 * go together in the next, by one request for a group: 50 in 41 ms instead of 900.
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeLink, deleteLinkGroup } from '../../linux/netlink/link.ts';
import { applyOnThread, RouteSocket, removeLink } from '../../linux/netlink/route-socket.ts';

/** "cl" and the number of a batch: nothing else uses such groups, and one that a crash left is deleted with its link. */
const groupBase = 0x636c0000;

interface Waiting {
  readonly name: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LinkRemover {
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #batch = 0;

  /** Resolves when the link is gone; success when there is none. Deleting one end of a veth deletes both. */
  remove(name: string): Promise<void> {
    const gone = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ name, resolve, reject });
    });
    this.#running ??= this.#run();
    return gone;
  }

  /** Resolves when nothing is being deleted. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Requests of one turn of the event loop belong together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#removeAll([...new Set(batch.map(({ name }) => name))]);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = undefined;
  }

  async #removeAll(names: readonly string[]): Promise<void> {
    const [only] = names;
    if (names.length === 1 && only !== undefined) return removeLink(only);
    this.#batch = (this.#batch + 1) % 0x10000;
    const group = groupBase + this.#batch;
    using socket = new RouteSocket();
    const outcomes = socket.attempt(names.map((name) => changeLink(name, { group })));
    const failure = outcomes.find((error) => error && !isKernelError(error, 'ENODEV'));
    if (failure) throw failure;
    if (outcomes.some((error) => error === undefined))
      await unlessGone(applyOnThread(undefined, deleteLinkGroup(group)));
  }
}

async function unlessGone(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isKernelError(error, 'ENODEV')) throw error;
  }
}
