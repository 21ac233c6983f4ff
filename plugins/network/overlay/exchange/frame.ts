/** Messages on a stream: four bytes of length, most significant first, then JSON. */
import { RecordError } from '../shared-records.ts';

/** 10 000 endpoints are about 2 MB. */
const largestFrame = 16 << 20;
const headerSize = 4;

export function writeFrame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const frame = Buffer.allocUnsafe(headerSize + body.length);
  frame.writeUInt32BE(body.length);
  body.copy(frame, headerSize);
  return frame;
}

export class FrameReader {
  #parts: Buffer[] = [];
  #length = 0;

  /** The messages that are complete with these bytes. Throws RecordError for what cannot become one. */
  *push(bytes: Buffer): IterableIterator<unknown> {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    while (this.#length >= headerSize) {
      // Joined only when a frame may be whole: a large one comes in many pieces.
      if ((this.#parts[0]?.length ?? 0) < headerSize) this.#join();
      const size = this.#parts[0]?.readUInt32BE() ?? 0;
      if (size > largestFrame) throw new RecordError(`a frame of ${size} bytes`);
      if (this.#length < headerSize + size) return;
      const all = this.#join();
      const rest = all.subarray(headerSize + size);
      this.#parts = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      yield parse(all.subarray(headerSize, headerSize + size));
    }
  }

  #join(): Buffer {
    const all = this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [all];
    return all;
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new RecordError('a frame that is no JSON');
  }
}
