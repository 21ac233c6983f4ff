/** `docker logs`: what the log plugin gives back, as the API's stream. */
import {
  formatTimestamp,
  type LogClient,
  type LogInfo,
  type ReadConfig,
  RemoteError,
} from '../../plugins/sdk/index.ts';
import { LogFrameDecoder } from '../../plugins/sdk/protocol/log-frame-decoder.ts';
import { ApiError } from '../api/api-error.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { encodeFrame } from '../runtime/frame.ts';
import { logInfo } from './info.ts';
import { loggingFile, openLogSession } from './session.ts';

export interface LogsRequest {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  readonly config: ReadConfig;
}

/** Chunks ready for the client. Ends with the log, or with the container's when following; the signal ends it early. */
export async function* readLogs(
  engine: Engine,
  container: Container,
  request: LogsRequest,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const log = await logClient(engine, container);
  const info = logInfo(container.record);
  // As engines do: a stopped container's log is read in a session of its own.
  const session = container.isRunning
    ? undefined
    : await openLogSession(log, loggingFile(engine.config.execRoot), info);
  try {
    yield* chunks(log, info, container, request, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await session
      ?.stop()
      .catch((error: unknown) =>
        engine.log.warn({ err: error, container: container.id }, 'ending a session for reading'),
      );
  }
}

/** Throws what Docker says of a driver that cannot be read. */
export async function logClient(engine: Engine, container: Container): Promise<LogClient> {
  const driver = container.record.hostConfig.LogConfig.Type;
  if (driver === 'none' || driver === '') throw new ApiError(501, 'configured logging driver does not support reading');
  const { log } = await engine.plugins.get(driver, 'log');
  const { readLogs: readable } = await log.capabilities().catch(() => ({ readLogs: false }));
  if (!readable) throw new ApiError(501, 'configured logging driver does not support reading');
  return log;
}

async function* chunks(
  log: LogClient,
  info: LogInfo,
  container: Container,
  request: LogsRequest,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const multiplexed = !container.record.config.Tty;
  let ready: Buffer[] = [];
  const { sinceNano, untilNano } = request.config;
  let past = false;
  const decoder = new LogFrameDecoder((frame) => {
    const stream = frame.source === 'stderr' ? 'stderr' : 'stdout';
    const timeNano = frame.timeNano;
    if (sinceNano !== undefined && timeNano < sinceNano) return;
    if (untilNano !== undefined && timeNano > untilNano) {
      past = true;
      return;
    }
    if (!request[stream]) return;
    const line = Buffer.from(frame.line);
    const text = request.timestamps ? Buffer.concat([Buffer.from(`${formatTimestamp(timeNano)} `), line]) : line;
    ready.push(multiplexed ? encodeFrame(stream, text) : text);
  });
  for await (const chunk of log.readLogs({ info, config: request.config }, signal)) {
    decoder.push(chunk);
    if (ready.length > 0) yield Buffer.concat(ready);
    ready = [];
    if (past) return;
  }
}

/** What a plugin that refuses to read says. */
export function readFailure(error: unknown): Error {
  return error instanceof RemoteError
    ? new ApiError(500, `error from daemon in stream: Error grabbing logs: ${error.line}`, { cause: error })
    : (error as Error);
}
