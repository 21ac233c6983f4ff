/**
 * A short text that is written again and again: four bytes at a time, which costs less than single bytes and than the call of a
 * native copy.
 */
export class ShortText {
  readonly length: number;
  readonly #words: Int32Array;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    this.length = bytes.length;
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    this.#words = new Int32Array(padded.buffer);
  }

  /** Returns the offset behind the text; up to three bytes there are overwritten too. */
  write(out: DataView, at: number): number {
    const words = this.#words;
    for (let index = 0; index < words.length; index++) out.setInt32(at + index * 4, words[index]!, true);
    return at + this.length;
  }
}
