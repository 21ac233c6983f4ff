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

/** A log that is open for reading; `close` when it has been read. */
export interface LogReading {
  readonly log: LogClient;
  readonly info: LogInfo;
  close(): Promise<void>;
}

/** Throws what Docker says of a driver that cannot be read. As engines do: a stopped container's log has a session of its own. */
export async function openReading(engine: Engine, container: Container): Promise<LogReading> {
  const refused = () => new ApiError(501, 'configured logging driver does not support reading');
  const driver = container.record.hostConfig.LogConfig.Type;
  if (driver === 'none' || driver === '') throw refused();
  const { log } = await engine.plugins.get(driver, 'log');
  const info = logInfo(container.record);
  const current = container.isRunning ? container.logSession : undefined;
  const session = current ?? (await openLogSession(log, loggingFile(engine.config.execRoot), info));
  const close = async () => {
    if (session === current) return;
    await session.stop().catch((error: unknown) => {
      engine.log.warn({ err: error, container: container.id }, 'ending a session for reading');
    });
  };
  if (session.isReadable) return { log, info, close };
  await close();
  throw refused();
}

/** Chunks ready for the client. Ends with the log, or with the container's when following; the signal ends it early. */
export async function* readLogs(
  { log, info, close }: LogReading,
  container: Container,
  request: LogsRequest,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    yield* chunks(log, info, container, request, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await close();
  }
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
