/** The DataView of a buffer, made once while the same buffer is used again and again: four bytes at a time at any offset. */
export class LastView {
  #buffer: Buffer | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  of(buffer: Buffer): DataView {
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    }
    return this.#view;
  }
}

/** Of what is written into: whoever adds to the same buffer finds its view here. */
export const outs = new LastView();
