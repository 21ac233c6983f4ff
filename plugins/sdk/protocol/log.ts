/** LogDriver on the wire. The driver's side is log-plugin.ts; the stream of ReadLogs is log-entry.ts. */
import type { LogDriver, LogInfo, ReadConfig } from '../log-plugin.ts';
import { defineMethod, emptyReply, type Locks, type Method } from './method.ts';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';
import { present, type WireObject, type WireReader } from './wire.ts';

/** Go's zero time, "no limit". */
const ZERO_TIME = '0001-01-01T00:00:00Z';

export const READ_LOGS = 'LogDriver.ReadLogs';

export interface ReadLogsRequest {
  readonly info: LogInfo;
  readonly config: ReadConfig;
}

function method<Request, Reply>(
  spec: Parameters<typeof defineMethod<LogDriver, Request, Reply>>[0],
): Method<LogDriver, Request, Reply> {
  return defineMethod(spec);
}

const sessionLocks = (request: { readonly file: string }): Locks => ({ exclusive: [`session ${request.file}`] });

function decodeInfo(info: WireReader): LogInfo {
  return {
    config: info.textMap('Config'),
    containerId: info.identifier('ContainerID'),
    containerName: info.text('ContainerName'),
    containerEntrypoint: info.text('ContainerEntrypoint'),
    containerArgs: info.texts('ContainerArgs'),
    containerImageId: info.text('ContainerImageID'),
    containerImageName: info.text('ContainerImageName'),
    containerCreated: info.text('ContainerCreated'),
    containerEnv: info.texts('ContainerEnv'),
    containerLabels: info.textMap('ContainerLabels'),
    logPath: info.text('LogPath'),
    daemonName: info.text('DaemonName'),
  };
}

function encodeInfo(info: LogInfo): WireObject {
  return {
    Config: info.config,
    ContainerID: info.containerId,
    ContainerName: info.containerName,
    ContainerEntrypoint: info.containerEntrypoint,
    ContainerArgs: info.containerArgs,
    ContainerImageID: info.containerImageId,
    ContainerImageName: info.containerImageName,
    ContainerCreated: info.containerCreated,
    ContainerEnv: info.containerEnv,
    ContainerLabels: info.containerLabels,
    LogPath: info.logPath,
    DaemonName: info.daemonName,
  };
}

function timeLimit(config: WireReader, name: string): bigint | undefined {
  const text = config.optionalText(name);
  if (text === undefined || text === ZERO_TIME) return undefined;
  return parseTimestamp(text) ?? config.refuse(name, 'a time of RFC 3339');
}

export function decodeReadLogs(body: WireReader): ReadLogsRequest {
  const config = body.object('Config');
  const tail = config.integer('Tail', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, -1);
  return {
    info: decodeInfo(body.object('Info')),
    config: {
      ...present('sinceNano', timeLimit(config, 'Since')),
      ...present('untilNano', timeLimit(config, 'Until')),
      ...(tail < 0 ? {} : { tail }),
      follow: config.flag('Follow'),
    },
  };
}

export function encodeReadLogs(request: ReadLogsRequest): WireObject {
  const { sinceNano, untilNano, tail = -1, follow } = request.config;
  return {
    Info: encodeInfo(request.info),
    Config: {
      Since: sinceNano === undefined ? ZERO_TIME : formatTimestamp(sinceNano),
      Until: untilNano === undefined ? ZERO_TIME : formatTimestamp(untilNano),
      Tail: tail,
      Follow: follow,
    },
  };
}

/** ReadLogs is not in the table: its reply is a stream. */
export const logMethods = {
  capabilities: method<undefined, { readonly readLogs: boolean }>({
    name: 'LogDriver.Capabilities',
    encodeRequest: () => undefined,
    handler: (driver) => async () => driver.capabilities ?? { readLogs: driver.readLogs !== undefined },
    encodeReply: (reply) => ({ Cap: { ReadLogs: reply.readLogs } }),
    decodeReply: (body) => ({ readLogs: body.object('Cap').flag('ReadLogs') }),
    fallback: { on: 'error', reply: { readLogs: false } },
  }),
  startLogging: method<{ readonly file: string; readonly info: LogInfo }, void>({
    name: 'LogDriver.StartLogging',
    decodeRequest: (body) => ({ file: body.absolutePath('File'), info: decodeInfo(body.object('Info')) }),
    encodeRequest: (request) => ({ File: request.file, Info: encodeInfo(request.info) }),
    handler: (driver) => driver.startLogging.bind(driver),
    ...emptyReply,
    locks: sessionLocks,
  }),
  stopLogging: method<{ readonly file: string }, void>({
    name: 'LogDriver.StopLogging',
    decodeRequest: (body) => ({ file: body.absolutePath('File') }),
    encodeRequest: (request) => ({ File: request.file }),
    handler: (driver) => driver.stopLogging?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
    locks: sessionLocks,
  }),
} as const;
