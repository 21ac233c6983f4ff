/**
 * One method of the protocol, seen from both sides: how its request and reply are written and read, which function of the
 * driver answers it, and what must not run beside it. The tables in network.ts, ipam.ts, volume.ts and log.ts list them.
 */
import { PluginError } from '../errors.ts';
import { type WireObject, WireReader } from './wire.ts';

/** What a call holds while it runs: calls that want one exclusive key wait for each other, shared holders do not. */
export interface Locks {
  readonly exclusive?: readonly string[];
  readonly shared?: readonly string[];
}

/** A decoded request, ready to run. */
export interface PreparedCall {
  readonly locks: Locks;
  run(signal: AbortSignal): Promise<WireObject>;
}

type Handler<Request, Reply> = (request: Request, signal: AbortSignal) => Promise<Reply>;

export interface MethodSpec<Driver, Request, Reply> {
  /** `Subsystem.Method`. */
  readonly name: string;
  /** Absent: the method takes no body, and whatever comes is not looked at. */
  readonly decodeRequest?: (body: WireReader) => Request;
  /** undefined: nothing is sent. */
  readonly encodeRequest: (request: Request) => WireObject | undefined;
  /** undefined when this driver does not offer the method. */
  readonly handler: (driver: Driver) => Handler<Request, Reply> | undefined;
  /** Refuses (PROTO_REPLY) what the engine would misread. */
  readonly encodeReply: (reply: Reply, request: Request) => WireObject;
  readonly decodeReply: (body: WireReader, request: Request) => Reply;
  readonly locks?: (request: Request) => Locks;
  /** What a client takes for the answer when the plugin has none: only on status 404, or on any error reply. */
  readonly fallback?: { readonly on: 'missing' | 'error'; readonly reply: Reply };
}

export interface Method<Driver, Request, Reply> extends MethodSpec<Driver, Request, Reply> {
  /** Decodes the body and binds the driver; throws PROTO_BODY, PROTO_UNSUPPORTED. */
  prepare(driver: Driver, body: unknown): PreparedCall;
  readRequest(body: unknown): Request;
}

export function defineMethod<Driver, Request, Reply>(
  spec: MethodSpec<Driver, Request, Reply>,
): Method<Driver, Request, Reply> {
  // A method without a body has nothing to decode: its Request type is void.
  const readRequest = (body: unknown): Request =>
    spec.decodeRequest === undefined ? (undefined as Request) : spec.decodeRequest(new WireReader(spec.name, body));
  return {
    ...spec,
    readRequest,
    prepare(driver, body) {
      const handler = spec.handler(driver);
      if (handler === undefined)
        throw new PluginError('PROTO_UNSUPPORTED', `${spec.name} is not offered by this driver`);
      const request = readRequest(body);
      return {
        locks: spec.locks?.(request) ?? {},
        run: async (signal) => spec.encodeReply(await handler(request, signal), request),
      };
    },
  };
}

/** For replies that carry nothing. */
export const emptyReply = {
  encodeReply: (): WireObject => ({}),
  decodeReply: (): void => undefined,
};

/** The driver answered something that an engine would misread: a defect of the driver, said before it does harm. */
export function refuseReply(method: string, text: string): never {
  throw new PluginError('PROTO_REPLY', `${method}: ${text}`);
}
