/** The key sequence that lets a client go without ending the container: `ctrl-p,ctrl-q` unless another one is given. */
import { badRequest } from '../api/api-error.ts';

const defaultKeys = [0x10, 0x11];

/** `ctrl-X` or one character, separated by commas, as bytes. Throws Docker's 400. */
export function parseDetachKeys(text: string | undefined): number[] {
  if (text === undefined || text === '') return [...defaultKeys];
  return text.split(',').map((key) => {
    if (key.length === 1) return key.charCodeAt(0) & 0xff;
    const control = /^ctrl-(.)$/.exec(key)?.[1];
    if (control === undefined) throw badRequest(`Invalid detach keys (${text}) provided: Unknown character: '${key}'`);
    if (/^[a-z]$/.test(control)) return control.charCodeAt(0) - 0x60;
    const special = '@[\\]^_'.indexOf(control);
    if (special < 0) throw badRequest(`Invalid detach keys (${text}) provided: Unknown character: '${key}'`);
    return special === 0 ? 0 : 0x1a + special;
  });
}

/**
 * Looks for the keys in what a user types, across chunks. Keys that turn out not to be the sequence go on to the container.
 *
 * The docker command looks for them, too, and one that is let go by us alone waits for the container's end. So both decide
 * alike (moby/term, proxy.go): a key that breaks the sequence off does not begin it anew.
 */
export class DetachScanner {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  scan(chunk: Buffer): { readonly pass: Buffer; readonly detached: boolean } {
    const pass: number[] = [];
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched += 1;
        if (this.#matched === this.#keys.length) return { pass: Buffer.from(pass), detached: true };
        continue;
      }
      pass.push(...this.#keys.slice(0, this.#matched), byte);
      this.#matched = 0;
    }
    return { pass: Buffer.from(pass), detached: false };
  }
}
