/** The log session of a container that starts, and of one that outlived an earlier shim. */
import { rmSync } from 'node:fs';
import { RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError } from '../api/api-error.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { logInfo } from './info.ts';
import { type LogSession, loggingFile, openLogSession } from './session.ts';

/** Undefined for `--log-driver none`. Throws as Docker words it. */
export async function startLogging(engine: Engine, container: Container): Promise<LogSession | undefined> {
  const driver = container.record.hostConfig.LogConfig.Type;
  if (driver === 'none' || driver === '') return undefined;
  const { log } = await engine.plugins.get(driver, 'log').catch((error: unknown) => {
    throw new ApiError(
      500,
      `failed to create task for container: failed to initialize logging driver: error looking up logging plugin ${driver}: ${(error as Error).message}`,
      { cause: error },
    );
  });
  const file = loggingFile(engine.config.execRoot);
  // Known before the plugin is: a shim that dies in between finds the FIFO to remove.
  container.updateRun({ logFile: file });
  try {
    return await openLogSession(log, file, logInfo(container.record));
  } catch (error) {
    const text = error instanceof RemoteError ? error.line : (error as Error).message;
    throw new ApiError(
      500,
      `failed to create task for container: failed to initialize logging driver: error creating logger: ${text}`,
      { cause: error },
    );
  }
}

/** A session whose shim has died: the plugin has read its FIFO to the end, or is told to stop. */
export async function closeStaleSession(engine: Engine, container: Container): Promise<void> {
  const { logFile, hostConfig } = container.record;
  if (logFile === undefined) return;
  try {
    const { log } = await engine.plugins.get(hostConfig.LogConfig.Type, 'log');
    await log.stopLogging({ file: logFile });
  } catch (error) {
    engine.log.warn({ err: error, container: container.id }, 'closing the log session of an earlier shim');
  }
  rmSync(logFile, { force: true });
}
