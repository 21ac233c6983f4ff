/** Options that the engine itself acts on and passes to the plugin all the same. */
import { choice, flag, size, text } from '../sdk/option-kinds.ts';

export const engineOptions = {
  /** non-blocking: the engine puts a buffer in memory in front of the plugin and drops lines when that is full. */
  mode: choice('mode', ['blocking', 'non-blocking']),
  maxBufferSize: size('max-buffer-size', {}),
  cacheDisabled: flag('cache-disabled'),
  cacheMaxSize: text('cache-max-size'),
  cacheMaxFile: text('cache-max-file'),
  cacheCompress: text('cache-compress'),
};
