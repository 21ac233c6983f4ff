/**
 * The control plane without a store: every host tells each of its peers what it has, over connections of its own; over the
 * peer's connection where it has none, because a NAT lets only the peer dial.
 */
import type { Cidr } from '../../address/cidr.ts';
import {
  applyChange,
  type ControlPlane,
  type NetworkChange,
  type PeerStatus,
  type RemotePart,
  type SharedNetwork,
} from '../control-plane.ts';
import type { Conversation } from './conversation.ts';
import { Dialer } from './dialer.ts';
import { Inbox } from './inbox.ts';
import { Listener } from './listener.ts';
import { type Message, protocolVersion } from './messages.ts';

const expiryMs = 500;
const lastWordsMs = 200;

export interface ExchangeParts {
  readonly key: Buffer;
  readonly port: number;
  readonly leaseMs: () => number;
  readonly node: string;
  readonly hostName: string;
  readonly epoch: number;
  /** Names of networks of which the others' part has changed. */
  readonly onChange: (networks: readonly string[]) => void;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

interface Announced {
  network: SharedNetwork;
  readonly peers: ReadonlySet<string>;
  /** When it was announced first, of the clock that only goes forward. */
  readonly since: number;
}

export class Exchange implements ControlPlane {
  readonly #parts: ExchangeParts;
  readonly #inbox = new Inbox();
  readonly #announced = new Map<string, Announced>();
  readonly #dialers = new Map<string, Dialer>();
  /** No network has these peers any more; what was just said is still on its way. */
  readonly #leaving = new Set<Dialer>();
  readonly #listeners = new Map<string, Promise<Listener | undefined>>();
  readonly #open = new Set<Listener>();
  /** By peer: its own connection, by which we speak because we have none. */
  readonly #answers = new Map<string, Conversation>();
  readonly #timer: NodeJS.Timeout;
  #session = 0;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => {
      const lost = this.#inbox.expire(parts.leaseMs());
      if (lost.length > 0) parts.onChange(lost);
      this.#answer();
    }, expiryMs).unref();
  }

  announce(network: SharedNetwork, peers: readonly string[]): void {
    const since = this.#announced.get(network.name)?.since ?? performance.now();
    this.#announced.set(network.name, {
      network,
      peers: new Set(peers.filter((peer) => peer !== network.host)),
      since,
    });
    this.#connect();
    this.#send(network.name, { kind: 'network', network });
  }

  change(networkName: string, change: NetworkChange): void {
    const announced = this.#announced.get(networkName);
    if (!announced) return;
    announced.network = applyChange(announced.network, change);
    this.#send(networkName, { ...change, name: networkName });
  }

  withdraw(networkName: string): void {
    this.#send(networkName, { kind: 'withdraw', name: networkName });
    this.#announced.delete(networkName);
    this.#connect();
  }

  remoteParts(networkName: string): RemotePart[] {
    return this.#inbox.parts(networkName);
  }

  knowsAll(networkName: string): boolean {
    const announced = this.#announced.get(networkName);
    if (!announced || performance.now() - announced.since > this.#parts.leaseMs()) return true;
    return this.#inbox.spoken(networkName).size >= announced.peers.size;
  }

  /** They tell each other, and judge: there is nobody to ask. */
  async define(): Promise<void> {}

  held(): readonly Cidr[] {
    return [];
  }

  async claim(): Promise<void> {
    throw new Error('peers have fixed shares');
  }

  peers(): PeerStatus[] {
    const heard = this.#inbox.heard();
    return [...this.#dialers].map(([peer, dialer]) => ({
      peer,
      hostName: heard.get(peer)?.hostName ?? '',
      state: this.#conversation(peer) ? 'connected' : dialer.state,
      rttMs: this.#conversation(peer)?.rttMs,
      heardMs: heard.get(peer)?.heardMs,
    }));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const dialer of [...this.#dialers.values(), ...this.#leaving]) dialer.close();
    const listeners = await Promise.all(this.#listeners.values());
    await Promise.all(listeners.map((listener) => listener?.close()));
  }

  /** A connection for each peer of any network, a listener for each address of ours. */
  #connect(): void {
    const { key, port, node, onChange, log } = this.#parts;
    const all = [...this.#announced.values()];
    const wanted = new Set(all.flatMap(({ peers }) => [...peers]));
    for (const [peer, dialer] of this.#dialers) {
      if (wanted.has(peer)) continue;
      this.#dialers.delete(peer);
      this.#leaving.add(dialer);
      setTimeout(() => {
        dialer.close();
        this.#leaving.delete(dialer);
      }, lastWordsMs).unref();
    }
    for (const peer of wanted) {
      if (this.#dialers.has(peer)) continue;
      this.#dialers.set(
        peer,
        new Dialer({ peer, port, key, node, inbox: this.#inbox, onChange, log, greet: () => this.#greet(peer) }),
      );
    }
    const addresses = new Set(all.map(({ network }) => network.host));
    for (const [address, listener] of this.#listeners) {
      if (addresses.has(address)) continue;
      this.#listeners.delete(address);
      void listener.then((open) => {
        if (open) this.#open.delete(open);
        return open?.close();
      });
    }
    for (const address of addresses) if (!this.#listeners.has(address)) this.#listen(address);
  }

  #listen(address: string): void {
    const { key, port, node, onChange, log } = this.#parts;
    const opening = Listener.open({ address, port, key, node, inbox: this.#inbox, onChange, log })
      .then((listener) => {
        this.#open.add(listener);
        return listener;
      })
      .catch((error: unknown) => {
        log.warn({ err: error, address, port }, 'the other hosts cannot reach this one; trying again');
        setTimeout(() => {
          if (this.#listeners.get(address) !== opening) return;
          this.#listeners.delete(address);
          this.#connect();
        }, 1000).unref();
        return undefined;
      });
    this.#listeners.set(address, opening);
  }

  #greet(peer: string): readonly Message[] {
    const { node, hostName, epoch } = this.#parts;
    this.#session += 1;
    const networks = [...this.#announced.values()].filter(({ peers }) => peers.has(peer)).map(({ network }) => network);
    return [
      { kind: 'hello', version: protocolVersion, node, hostName, to: peer, epoch, session: this.#session },
      { kind: 'state', networks },
    ];
  }

  #send(networkName: string, message: Message): void {
    for (const peer of this.#announced.get(networkName)?.peers ?? []) this.#conversation(peer)?.send(message);
  }

  /** The connection that the peer is told by. */
  #conversation(peer: string): Conversation | undefined {
    const answer = this.#answers.get(peer);
    return this.#dialers.get(peer)?.conversation ?? (answer?.speaks ? answer : undefined);
  }

  /** Speaks by peers' own connections where there is no other, and no longer where there is. */
  #answer(): void {
    for (const [peer, answer] of this.#answers) {
      if (answer.speaks && this.#dialers.has(peer) && !this.#dialers.get(peer)?.conversation) continue;
      answer.hush();
      this.#answers.delete(peer);
    }
    for (const peer of this.#dialers.keys()) {
      if (this.#conversation(peer)) continue;
      const node = this.#inbox.heard().get(peer)?.node;
      const answer = this.#accepted().find(
        ({ hello, speaks }) => hello !== undefined && hello.node === node && !speaks,
      );
      if (!answer) continue;
      this.#answers.set(peer, answer);
      answer.speak(this.#greet(peer));
    }
  }

  #accepted(): Conversation[] {
    return [...this.#open].flatMap((listener) => [...listener.conversations()]);
  }
}
