/** Options that Docker has for every driver: those that the engine itself acts on, and those of its copy for `docker logs`. */
import { choice, flag, integer, size } from '../sdk/option-kinds.ts';
import { decimalSize } from './decimal-size.ts';

export const engineOptions = {
  /** non-blocking: the engine puts a buffer in memory in front of the plugin and drops lines when that is full. */
  mode: choice('mode', ['', 'blocking', 'non-blocking']),
  maxBufferSize: size('max-buffer-size', {}),
  /** Drivers that write json files read from those, in Docker as here: the four below do nothing there. */
  cacheDisabled: flag('cache-disabled', { otherwise: false }),
  cacheMaxSize: decimalSize('cache-max-size'),
  cacheMaxFile: integer('cache-max-file', { min: 1, max: 1_000_000 }),
  cacheCompress: flag('cache-compress'),
};
