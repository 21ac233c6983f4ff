/** What a log driver implements. Source: protocol page of LogDriver, engines 20.10 to 28.5. */

/** The container that logs, as the engine describes it. */
export interface LogInfo {
  /** All `--log-opt`, the engine's own `mode`, `max-buffer-size` and `cache-disabled` among them. */
  readonly config: Readonly<Record<string, string>>;
  readonly containerId: string;
  /** With a leading slash. */
  readonly containerName: string;
  readonly containerEntrypoint: string;
  readonly containerArgs: readonly string[];
  readonly containerImageId: string;
  readonly containerImageName: string;
  /** RFC 3339 with nanoseconds, as sent. */
  readonly containerCreated: string;
  /** `KEY=value`. */
  readonly containerEnv: readonly string[];
  readonly containerLabels: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly daemonName: string;
}

export interface ReadConfig {
  /** Nanoseconds since 1970; absent: no limit. */
  readonly sinceNano?: bigint;
  readonly untilNano?: bigint;
  /** Absent: all; 0: none of the old ones. */
  readonly tail?: number;
  readonly follow: boolean;
}

/** Partial pieces of one line share `id`; `ordinal` counts from 1. */
export interface PartialLogMetadata {
  readonly last: boolean;
  readonly id: string;
  readonly ordinal: number;
}

export interface LogEntry {
  readonly source: string;
  readonly timeNano: bigint;
  /** Without newline on the FIFO; readLogs yields it with one, the engine prints it unchanged. */
  readonly line: Uint8Array;
  readonly partial: boolean;
  readonly partialLogMetadata?: PartialLogMetadata;
}

export interface LogDriver {
  /** Default: readable when there is a `readLogs`. */
  readonly capabilities?: { readonly readLogs: boolean };
  /** `file` is the FIFO, new for each session. Needs no network: a server that is down never fails a start. */
  startLogging(request: { readonly file: string; readonly info: LogInfo }, signal: AbortSignal): Promise<void>;
  /** Success for an unknown file. The engine closes its end only after the answer. Default: nothing to do before that. */
  stopLogging?(request: { readonly file: string }, signal: AbortSignal): Promise<void>;
  /**
   * Frames of length and LogEntry (see protocol/log-entry.ts), already encoded, several in one chunk where that is
   * natural. Ends by itself; with `follow`, when the container's log has ended. The signal aborts when the client leaves.
   */
  readLogs?(
    request: { readonly info: LogInfo; readonly config: ReadConfig },
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}
