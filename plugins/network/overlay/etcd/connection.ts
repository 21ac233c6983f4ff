/**
 * One connection to one member of etcd: gRPC over HTTP/2, every call with a deadline. A connection that stops answering is
 * noticed within two seconds, also while only a watch is open: by a small call every second, for etcd closes connections whose
 * HTTP/2 pings come more often than every five (`--grpc-keepalive-min-time`).
 */
import type { SecureClientSessionOptions } from 'node:http2';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { EtcdConfig } from './config.ts';
import { keyBytes, prefixEnd } from './keys.ts';
import { Patience } from './patience.ts';
import {
  Auth,
  type Event,
  type KeyValue,
  KV,
  Lease,
  Maintenance,
  type RequestOpSchema,
  type ResponseHeader,
  type TxnRequest,
  type TxnRequestSchema,
  type TxnResponse,
  Watch,
} from './rpc_pb.ts';

const callMs = 1500;
/** Short: what was sent while the way was cut off is not waited for when it is back. */
const openMs = 1000;
const probeEveryMs = 1000;
const pageSize = 2000n;

export interface Snapshot {
  readonly revision: bigint;
  readonly entries: readonly KeyValue[];
}

export interface WatchBatch {
  readonly revision: bigint;
  readonly events: readonly Event[];
}

/** What was to be followed is no longer in etcd's history: everything has to be read again. */
export class CompactedError extends Error {}

export type Operation = MessageInitShape<typeof RequestOpSchema>;
export type Transaction = MessageInitShape<typeof TxnRequestSchema>;

export class Connection {
  readonly endpoint: string;
  readonly #sessions: Http2SessionManager;
  readonly #kv: Client<typeof KV>;
  readonly #lease: Client<typeof Lease>;
  readonly #watch: Client<typeof Watch>;
  readonly #maintenance: Client<typeof Maintenance>;
  readonly #auth: Client<typeof Auth>;
  readonly #patience = new Patience();
  #token: string | undefined;
  #probe: NodeJS.Timeout | undefined;
  #version = '';
  #roundTripMs = 0;

  /** Throws ConnectError when the member does not answer, has no leader, or does not let us in. */
  static async open(endpoint: string, config: EtcdConfig): Promise<Connection> {
    const connection = new Connection(endpoint, config);
    try {
      if (config.user !== undefined && config.password !== undefined) {
        const given = { name: config.user, password: config.password };
        const { token } = await connection.#call((options) => connection.#auth.authenticate(given, options));
        connection.#token = token;
      }
      await connection.#ask();
      connection.#watchOver();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private constructor(endpoint: string, { ca, cert, key }: EtcdConfig) {
    this.endpoint = endpoint;
    const tls: SecureClientSessionOptions = {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    };
    this.#sessions = new Http2SessionManager(endpoint, {}, tls);
    const transport = createGrpcTransport({
      baseUrl: endpoint,
      sessionManager: this.#sessions,
      acceptCompression: [],
      interceptors: [
        (next) => (request) => {
          // The names of etcd's own metadata: api/v3rpc/rpctypes/metadatafields.go.
          if (this.#token !== undefined) request.header.set('token', this.#token);
          request.header.set('hasleader', 'true');
          return next(request);
        },
      ],
    });
    this.#kv = createClient(KV, transport);
    this.#lease = createClient(Lease, transport);
    this.#watch = createClient(Watch, transport);
    this.#maintenance = createClient(Maintenance, transport);
    this.#auth = createClient(Auth, transport);
  }

  get version(): string {
    return this.#version;
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  close(): void {
    clearInterval(this.#probe);
    this.#patience.close();
    this.#sessions.abort();
  }

  /** Whatever waits on the connection fails when the member does not answer. */
  #watchOver(): void {
    let asking = false;
    this.#probe = setInterval(() => {
      if (asking) return;
      asking = true;
      this.#ask()
        .catch(() => this.close())
        .finally(() => {
          asking = false;
        });
    }, probeEveryMs);
    this.#probe.unref();
  }

  /** Everything below the prefix at one revision. */
  async read(prefix: string, keysOnly = false): Promise<Snapshot> {
    const rangeEnd = prefixEnd(prefix);
    const entries: KeyValue[] = [];
    let key: Uint8Array = keyBytes(prefix);
    let revision = 0n;
    for (;;) {
      const request = { key, rangeEnd, revision, limit: pageSize, keysOnly };
      const page = await this.#call((options) => this.#kv.range(request, options));
      if (revision === 0n) revision = revisionOf(page.header);
      entries.push(...page.kvs);
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return { revision, entries };
      // The next key possible after the last.
      key = Uint8Array.from([...last.key, 0]);
    }
  }

  /** Newer members tell their state to root alone; whether there is a leader shows in the next call too. */
  async #ask(): Promise<void> {
    const began = performance.now();
    try {
      const { version, leader } = await this.#call((options) => this.#maintenance.status({}, options), openMs);
      this.#version = version;
      if (leader === 0n) throw new ConnectError('the member has no leader', Code.Unavailable);
    } catch (error) {
      if (!(error instanceof ConnectError && error.code === Code.PermissionDenied)) throw error;
    }
    this.#roundTripMs = performance.now() - began;
  }

  async transact(transaction: Transaction): Promise<TxnResponse> {
    return await this.#call((options) => this.#kv.txn(transaction as TxnRequest, options));
  }

  /** Every change below the prefix after `revision`, as it comes, until the signal. Throws CompactedError and ConnectError. */
  async *watch(prefix: string, revision: bigint, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    const request = {
      requestUnion: {
        case: 'createRequest' as const,
        value: { key: keyBytes(prefix), rangeEnd: prefixEnd(prefix), startRevision: revision + 1n, fragment: true },
      },
    };
    async function* requests() {
      yield request;
      // The stream ends with our side of it.
      await aborted;
    }
    let fragments: Event[] = [];
    for await (const response of this.#watch.watch(requests(), { signal })) {
      if (response.compactRevision > 0n) throw new CompactedError(`compacted at ${response.compactRevision}`);
      if (response.canceled)
        throw new ConnectError(response.cancelReason || 'the watch was cancelled', Code.Unavailable);
      fragments.push(...response.events);
      if (response.fragment || response.created) continue;
      yield { revision: revisionOf(response.header), events: fragments };
      fragments = [];
    }
    if (!signal.aborted) throw new ConnectError('the watch ended', Code.Unavailable);
  }

  async grant(ttlSeconds: number): Promise<bigint> {
    const request = { ttl: BigInt(ttlSeconds) };
    const { id, error } = await this.#call((options) => this.#lease.leaseGrant(request, options));
    if (error !== '') throw new ConnectError(error, Code.Unavailable);
    return id;
  }

  /** Seconds that it lives from now; 0: there is no such lease any more. */
  async keepAlive(id: bigint): Promise<number> {
    async function* once() {
      yield { id };
    }
    const began = performance.now();
    return await this.#call(async (options) => {
      for await (const { ttl } of this.#lease.leaseKeepAlive(once(), options)) {
        this.#roundTripMs = performance.now() - began;
        return Math.max(0, Number(ttl));
      }
      throw new ConnectError('no answer to the renewal of a lease', Code.Unavailable);
    });
  }

  /** All keys of a lease. */
  async leaseKeys(id: bigint): Promise<string[]> {
    const { keys } = await this.#call((options) => this.#lease.leaseTimeToLive({ id, keys: true }, options));
    return keys.map((key) => Buffer.from(key).toString());
  }

  async revoke(id: bigint): Promise<void> {
    await this.#call((options) => this.#lease.leaseRevoke({ id }, options));
  }

  #call<Answer>(call: (options: CallOptions) => Promise<Answer>, ms: number = callMs): Promise<Answer> {
    return this.#patience.wait(ms, (signal) => call({ signal }));
  }
}

export function revisionOf(header: ResponseHeader | undefined): bigint {
  return header?.revision ?? 0n;
}

export function put(key: string, text: string, lease = 0n): Operation {
  const given = { key: keyBytes(key), value: Buffer.from(text), lease };
  return { request: { case: 'requestPut', value: given } } as Operation;
}

export function remove(key: string): Operation {
  return { request: { case: 'requestDeleteRange', value: { key: keyBytes(key) } } } as Operation;
}

export function removeAll(prefix: string): Operation {
  const value = { key: keyBytes(prefix), rangeEnd: prefixEnd(prefix) };
  return { request: { case: 'requestDeleteRange', value } } as Operation;
}

export function get(key: string): Operation {
  return { request: { case: 'requestRange', value: { key: keyBytes(key) } } } as Operation;
}

/** The value that `get` found at this place of a transaction's answer. */
export function found(
  { responses }: TxnResponse,
  at: number,
): { readonly text: string; readonly revision: bigint } | undefined {
  const response = responses[at]?.response;
  const [kv] = response?.case === 'responseRange' ? response.value.kvs : [];
  return kv && { text: Buffer.from(kv.value).toString(), revision: kv.modRevision };
}

export type Condition = NonNullable<Transaction['compare']>[number];

/** That there is no such key; for a prefix, none at all below it. */
export function isAbsent(key: string, prefix = false): Condition {
  return {
    result: 0,
    target: 0,
    key: keyBytes(key),
    targetUnion: { case: 'version', value: 0n },
    ...(prefix && { rangeEnd: prefixEnd(key) }),
  };
}

/** That the key has not been changed since. */
export function isAt(key: string, modRevision: bigint): Condition {
  return { result: 0, target: 2, key: keyBytes(key), targetUnion: { case: 'modRevision', value: modRevision } };
}
