/** The UDP half of the proxy: one socket for all clients, one more towards the container for each flow. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { findRedirectedFlow } from '../../linux/conntrack.ts';
import type { FindTarget, ProxyLog } from './proxy.ts';

/** As long as the kernel keeps a flow in both directions: nf_conntrack_udp_timeout_stream. */
const idleMs = 120_000;
/** A flow is a descriptor and some kilobytes; a flood must not take the daemon's. */
const mostFlows = 4096;

/** Datagrams that may wait for the socket towards the container to be ready: a turn of the event loop. */
const mostWaiting = 64;

interface Flow {
  readonly socket: Socket;
  lastUsed: number;
  /** undefined once the socket is connected. */
  waiting: Buffer[] | undefined;
}

export class UdpProxy {
  readonly #socket: Socket;
  readonly #port: number;
  readonly #findTarget: FindTarget;
  readonly #log: ProxyLog;
  readonly #flows = new Map<string, Flow>();
  readonly #timer: NodeJS.Timeout;

  private constructor(socket: Socket, port: number, findTarget: FindTarget, log: ProxyLog) {
    this.#socket = socket;
    this.#port = port;
    this.#findTarget = findTarget;
    this.#log = log;
    this.#timer = setInterval(() => this.#dropIdle(), idleMs / 4);
    this.#timer.unref();
    socket.on('message', (data, client) => this.#fromClient(data, client));
    socket.on('error', (error) => log.warn({ err: error }, 'the UDP proxy has an error'));
  }

  static async start(port: number, findTarget: FindTarget, log: ProxyLog): Promise<UdpProxy> {
    const socket = createSocket({ type: 'udp6', ipv6Only: true });
    socket.bind({ address: '::', port });
    await once(socket, 'listening');
    return new UdpProxy(socket, port, findTarget, log);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { socket } of this.#flows.values()) socket.close();
    this.#flows.clear();
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  #fromClient(data: Buffer, client: RemoteInfo): void {
    const key = `${client.address} ${client.port}`;
    const flow = this.#flows.get(key) ?? this.#open(key, client);
    if (!flow) return;
    flow.lastUsed = Date.now();
    if (flow.waiting === undefined) flow.socket.send(data);
    else if (flow.waiting.length < mostWaiting) flow.waiting.push(data);
  }

  #open(key: string, client: RemoteInfo): Flow | undefined {
    if (this.#flows.size >= mostFlows) return undefined;
    const original = findRedirectedFlow({ client: client.address, clientPort: client.port, localPort: this.#port });
    const target = original && this.#findTarget('udp', { family: 6, address: original.address }, original.port);
    if (!target) return undefined;
    const socket = createSocket(target.address.includes(':') ? 'udp6' : 'udp4');
    const flow: Flow = { socket, lastUsed: Date.now(), waiting: [] };
    socket.on('message', (data) => {
      flow.lastUsed = Date.now();
      this.#socket.send(data, client.port, client.address);
    });
    // Nobody listens in the container (ICMP port unreachable): the next datagram asks again where to go.
    socket.on('error', (error) => {
      this.#log.debug({ err: error, ...target }, 'a proxied flow failed');
      this.#drop(key);
    });
    socket.connect(target.port, target.address, () => {
      for (const data of flow.waiting ?? []) socket.send(data);
      flow.waiting = undefined;
    });
    this.#flows.set(key, flow);
    return flow;
  }

  #dropIdle(): void {
    const limit = Date.now() - idleMs;
    for (const [key, { lastUsed }] of this.#flows) if (lastUsed < limit) this.#drop(key);
  }

  #drop(key: string): void {
    this.#flows.get(key)?.socket.close();
    this.#flows.delete(key);
  }
}
