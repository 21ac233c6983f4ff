/** `cleat/sdk`: everything a plugin author needs. See README.md in this folder. */
export type { CallObserver, CallReport } from './call-runner.ts';
export {
  type IpamClient,
  type LogClient,
  type NetworkClient,
  PluginClient,
  type PluginClientOptions,
  RemoteError,
  type VolumeClient,
} from './client.ts';
export { defaultDirectories, discoverPlugin, findPlugin, listPlugins, type PluginDirectories } from './discovery.ts';
export { type ErrorCode, type ErrorMeaning, errorCodes } from './error-codes.ts';
export { errorLine, isErrorCode, PluginError, type PluginErrorOptions } from './errors.ts';
export type * from './ipam-plugin.ts';
export {
  answersOnUnixSocket,
  type Listening,
  listenOnUnixSocket,
  listenPlugin,
  type Place,
  type TcpPlace,
} from './listen.ts';
export { openLogFifo } from './log-fifo.ts';
export type * from './log-plugin.ts';
export { nearestName } from './nearest-name.ts';
export type * from './network-plugin.ts';
export { notifySystemd } from './notify.ts';
export {
  choice,
  cidr,
  custom,
  duration,
  flag,
  integer,
  ip,
  list,
  mac,
  type Option,
  prefixed,
  size,
  text,
} from './option-kinds.ts';
export { type OptionContext, type OptionSchema, type OptionValues, optionNames, parseOptions } from './options.ts';
export type { Plugin } from './plugin.ts';
export type { DriverKind } from './protocol/activate.ts';
export type { ReadLogsRequest } from './protocol/log.ts';
export { LogFrame, parseLogEntry } from './protocol/log-entry.ts';
export { type LogFrameCallback, LogFrameDecoder, type LogFrameDecoderOptions } from './protocol/log-frame-decoder.ts';
export { encodeLogFrame, LogFrameBatch } from './protocol/log-frame-encoder.ts';
export { LogFrameScanner } from './protocol/log-frame-scanner.ts';
export { splitLogFrames } from './protocol/split-log-frames.ts';
export { formatTimestamp, parseTimestamp } from './protocol/timestamp.ts';
export { engineRetryRule, type RetryRule } from './retry.ts';
export { runPlugin } from './run-plugin.ts';
export { DEFAULT_DEADLINE_MS, type ServeOptions, servePlugin } from './serve.ts';
export type { PluginAddress } from './spec-file.ts';
export { StateMap } from './state-map.ts';
export { findDurationMs, findSize, formatDurationMs, formatSize } from './units.ts';
export type * from './volume-plugin.ts';
