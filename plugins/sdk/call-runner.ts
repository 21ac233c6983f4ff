/**
 * Runs one call: its turn in the queue of its object, its deadline, and a line in the log.
 *
 * The deadline counts from the arrival of the request, waiting included, since that is what the client waits for. A handler
 * that ignores the signal is answered for, but keeps its place in the queue until it has really ended.
 */
import type { FastifyBaseLogger } from 'fastify';
import { errorLine, PluginError } from './errors.ts';
import { LockQueue, untilAborted } from './lock-queue.ts';
import type { PreparedCall } from './protocol/method.ts';
import type { WireObject } from './protocol/wire.ts';

export interface CallReport {
  readonly plugin: string;
  /** `Subsystem.Method`. */
  readonly method: string;
  readonly durationMs: number;
  /** Absent when the call succeeded. */
  readonly error?: unknown;
}

export type CallObserver = (report: CallReport) => void;

export interface CallRunnerOptions {
  readonly plugin: string;
  readonly log: FastifyBaseLogger;
  deadlineMs(method: string): number;
  readonly onCall?: CallObserver;
}

export class CallRunner {
  readonly #options: CallRunnerOptions;
  readonly #queue = new LockQueue();
  readonly #closing = new AbortController();

  constructor(options: CallRunnerOptions) {
    this.#options = options;
  }

  /** Aborts when the server closes; streams end then, calls finish. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  close(): void {
    this.#closing.abort(new Error('the server is closing'));
  }

  /** `left` tells whether the client has gone: a call that has not started then never does, for nobody would undo it. */
  async run(method: string, prepare: () => PreparedCall, left: () => boolean): Promise<WireObject> {
    const started = performance.now();
    try {
      const reply = await this.#answer(method, prepare(), left);
      this.#report(method, started);
      return reply;
    } catch (error) {
      this.#report(method, started, error);
      throw error;
    }
  }

  async #answer(method: string, call: PreparedCall, left: () => boolean): Promise<WireObject> {
    const deadlineMs = this.#options.deadlineMs(method);
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(() => {
      controller.abort(new PluginError('PROTO_DEADLINE', `${method} was not done within ${deadlineMs} ms`));
    }, deadlineMs);
    const outcome = this.#queue.run(call.locks, signal, async () => {
      if (left()) throw new PluginError('PROTO_DEADLINE', `${method} was given up by the client before it began`);
      return await call.run(signal);
    });
    outcome.catch((error: unknown) => {
      if (signal.aborted && error !== signal.reason) {
        this.#options.log.warn(
          { plugin: this.#options.plugin, method, err: error },
          'a call failed after its deadline',
        );
      }
    });
    try {
      return await untilAborted(outcome, signal);
    } catch (error) {
      throw signal.aborted && !(error instanceof PluginError) ? signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #report(method: string, started: number, error?: unknown): void {
    const { plugin, log, onCall } = this.#options;
    const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
    if (error === undefined) log.debug({ plugin, method, durationMs }, 'call');
    else if (error instanceof PluginError && error.code !== 'PROTO_REPLY') {
      log.info({ plugin, method, durationMs, code: error.code, cause: error.cause }, errorLine(error));
    } else log.error({ plugin, method, durationMs, err: error }, 'the driver failed in a way it should not');
    onCall?.({ plugin, method, durationMs, ...(error === undefined ? {} : { error }) });
  }
}
