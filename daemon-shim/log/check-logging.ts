/** A container's log settings when it is made, as far as they are the engine's: the rest its driver checks at the start. */
import { findSize } from '../../plugins/sdk/index.ts';
import { badRequest } from '../api/api-error.ts';
import type { HostConfig } from '../container/record.ts';
import type { Engine } from '../engine.ts';

/** Throws Docker's words for a driver that is not there (after 15 s) and for wrong values of `mode` and `max-buffer-size`. */
export async function checkLogging(
  engine: Engine,
  { Type: driver, Config: options }: HostConfig['LogConfig'],
): Promise<void> {
  const { mode = '', 'max-buffer-size': size } = options;
  if (!['', 'blocking', 'non-blocking'].includes(mode)) throw badRequest(`logger: logging mode not supported: ${mode}`);
  if (size !== undefined && mode !== 'non-blocking')
    throw badRequest(`logger: max-buffer-size option is only supported with 'mode=non-blocking'`);
  if (size !== undefined && findSize(size) === undefined)
    throw badRequest(`error parsing option max-buffer-size: invalid size: '${size}'`);
  if (driver === 'none' || driver === '') return;
  try {
    await engine.plugins.get(driver, 'log');
  } catch (error) {
    // Not 404: that would be the image.
    throw badRequest(`error looking up logging plugin ${driver}: ${(error as Error).message}`);
  }
}
