/** Work on one name at a time; other names run on. */

export class NameLocks {
  readonly #tails = new Map<string, Promise<unknown>>();

  locked<T>(name: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(name) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => {});
    this.#tails.set(name, settled);
    void settled.then(() => {
      if (this.#tails.get(name) === settled) this.#tails.delete(name);
    });
    return result;
  }
}
