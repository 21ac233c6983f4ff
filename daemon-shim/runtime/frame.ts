/**
 * The multiplexed stream of attach and logs: `{stream, 0, 0, 0, length as 4 bytes big-endian}`, then the bytes.
 * Stream 0 stdin, 1 stdout, 2 stderr, 3 an error of the engine. Source: Engine API, "Stream format" of attach.
 */
import type { OutputStream } from './output.ts';

const headerBytes = 8;
const numbers: Readonly<Record<OutputStream | 'error', number>> = { stdout: 1, stderr: 2, error: 3 };

export function encodeFrame(stream: OutputStream | 'error', chunk: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + chunk.length);
  frame.writeUInt32BE(0, 0);
  frame[0] = numbers[stream];
  frame.writeUInt32BE(chunk.length, 4);
  frame.set(chunk, headerBytes);
  return frame;
}
