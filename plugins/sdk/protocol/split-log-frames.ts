/** Whole frames of a buffer, such as a file of them: views, not copies. */
import type { LogFrame } from './log-entry.ts';
import { LogFrameDecoder } from './log-frame-decoder.ts';

/** Damage between frames and a cut one at the end are left out. */
export function splitLogFrames(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  new LogFrameDecoder(({ buffer, frameStart, frameEnd }: LogFrame) => {
    frames.push(buffer.subarray(frameStart, frameEnd));
  }).push(bytes);
  return frames;
}
