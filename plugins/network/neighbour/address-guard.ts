/**
 * Looks after addresses on the segments that containers are hosts of, by ARP (RFC 5227) and neighbour discovery (RFC 4862 §5.4):
 * asks whether somebody has an address before it is used, and listens for as long as it is used.
 *
 * An engine's start waits for the answer, so RFC 5227's seconds are cut to what a LAN needs: a neighbour that is awake answers in
 * a fraction of a millisecond, so a start waits `firstWaitMs`, and not at all for an address that was asked for a moment ago:
 * the next addresses of the pool are asked for in advance. The question is repeated over `repeatMs` in the background; who
 * answers late, or takes the address later, is told in the log and in `cleat status`, and the address is announced again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { neighbourFilter } from '../../linux/packet-filter.ts';
import { ETH_P_ARP, ETH_P_IPV6, PacketSocket } from '../../linux/packet-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { type Claim, decodeArpClaim, encodeArpRequest } from './arp.ts';
import { multicastMac } from './ip6.ts';
import { decodeNdpClaim, encodeProbe } from './ndp.ts';

const everybody = 'ff:ff:ff:ff:ff:ff';
const firstWaitMs = 25;
/** After the question that the start waits for. */
const repeatMs = [25, 100, 400];
/** An address that nobody claimed for this long, since it was asked for, is taken without waiting again. */
const clearForMs = 60_000;
const aheadAfterMs = 200;
/** RFC 5227 §2.4: DEFEND_INTERVAL. */
const defendIntervalMs = 10_000;

/** A link of the host on the segment. */
export interface Segment {
  /** Index. */
  readonly link: number;
  readonly mac: string;
}

export interface HeldAddress {
  /** Bare. */
  readonly address: string;
  /** The holder's: what it says itself is no conflict. */
  readonly mac: string;
  readonly endpointId: string;
}

export interface Conflict extends HeldAddress {
  /** Who else says to have it; `unknown` where the message did not tell. */
  readonly other: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface AddressGuardOptions {
  readonly log: { warn(fields: object, message: string): void };
  /** Announce the address again, for its holder. */
  readonly defend: (conflict: Conflict) => void;
}

interface Question {
  readonly addresses: ReadonlySet<string>;
  readonly answered: (claim: Claim) => void;
}

interface Ears {
  readonly arp: PacketSocket;
  readonly ndp: PacketSocket;
  readonly questions: Set<Question>;
  readonly held: Map<string, HeldAddress>;
  /** Address → when it was asked for without an answer, or last held by us; monotonic milliseconds. */
  readonly clear: Map<string, number>;
}

export class AddressGuard {
  readonly #options: AddressGuardOptions;
  /** By index of the link. */
  readonly #ears = new Map<number, Ears>();
  /** By address and the other's MAC. */
  readonly #conflicts = new Map<string, Conflict>();
  readonly #defendedAt = new Map<string, number>();
  readonly #abort = new AbortController();

  constructor(options: AddressGuardOptions) {
    this.#options = options;
  }

  /**
   * Throws NET_ADDRESS_DUPLICATE naming who answered. `next`: addresses that will probably be wanted soon. A link that is down
   * cannot be asked, and is not.
   */
  async ask(
    segment: Segment,
    addresses: readonly string[],
    next: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const ears = this.#listen(segment.link);
    if (ears === undefined || addresses.length === 0) return;
    const now = performance.now();
    const fresh = addresses.every((address) => now - (ears.clear.get(address) ?? -clearForMs) < clearForMs);
    const found = Promise.withResolvers<Claim>();
    const question: Question = { addresses: new Set(addresses), answered: found.resolve };
    ears.questions.add(question);
    try {
      if (!send(ears, segment, addresses)) return;
      const claim = fresh ? undefined : await Promise.race([found.promise, wait(firstWaitMs, signal)]);
      signal.throwIfAborted();
      if (claim !== undefined) throw duplicate(claim.ip, claim.mac);
    } finally {
      ears.questions.delete(question);
    }
    for (const address of addresses) ears.clear.set(address, performance.now());
    void this.#repeat(ears, segment, addresses);
    void this.#askAhead(ears, segment, next);
  }

  /** From now on a container has it: others who claim it are told of. */
  hold(link: number, held: HeldAddress): void {
    this.#listen(link)?.held.set(held.address, held);
  }

  /** The endpoint of this host that has the address on that link: it does not hear questions from its own parent. */
  holder(link: number, address: string): string | undefined {
    return this.#ears.get(link)?.held.get(address)?.endpointId;
  }

  /** Throws NET_ADDRESS_DUPLICATE when somebody has claimed an address of the endpoint since it was asked for. */
  check(endpointId: string): void {
    const conflict = this.conflicts().find((one) => one.endpointId === endpointId);
    if (conflict !== undefined) throw duplicate(conflict.address, conflict.other);
  }

  /** Nobody here has the endpoint's addresses any more. */
  release(endpointId: string): void {
    for (const [link, ears] of this.#ears) {
      for (const [address, held] of ears.held) {
        if (held.endpointId !== endpointId) continue;
        ears.held.delete(address);
        ears.clear.set(address, performance.now());
        if (ears.held.size === 0) void this.#closeWhenIdle(link, ears);
      }
    }
    for (const [key, conflict] of this.#conflicts) if (conflict.endpointId === endpointId) this.#conflicts.delete(key);
  }

  conflicts(): Conflict[] {
    return [...this.#conflicts.values()];
  }

  close(): void {
    this.#abort.abort();
    for (const link of [...this.#ears.keys()]) this.#stopListening(link);
  }

  #listen(link: number): Ears | undefined {
    const known = this.#ears.get(link);
    if (known !== undefined || this.#abort.signal.aborted) return known;
    const hear = (decode: (packet: Buffer) => Claim | undefined) => (packet: Buffer) => {
      const claim = decode(packet);
      if (claim !== undefined) this.#onClaim(ears, claim);
    };
    const ears: Ears = {
      arp: new PacketSocket({ link, protocol: ETH_P_ARP, onPacket: hear(decodeArpClaim) }),
      ndp: new PacketSocket({ link, protocol: ETH_P_IPV6, filter: neighbourFilter(), onPacket: hear(decodeNdpClaim) }),
      questions: new Set(),
      held: new Map(),
      clear: new Map(),
    };
    this.#ears.set(link, ears);
    void this.#closeWhenIdle(link, ears);
    return ears;
  }

  /** Links are listened on while a container is there, and for a while after the last. */
  async #closeWhenIdle(link: number, ears: Ears): Promise<void> {
    do await wait(clearForMs, this.#abort.signal);
    while (ears.questions.size > 0 && !this.#abort.signal.aborted);
    if (ears.held.size === 0 && this.#ears.get(link) === ears) this.#stopListening(link);
  }

  #stopListening(link: number): void {
    const ears = this.#ears.get(link);
    this.#ears.delete(link);
    ears?.arp.close();
    ears?.ndp.close();
  }

  #onClaim(ears: Ears, claim: Claim): void {
    ears.clear.delete(claim.ip);
    for (const { addresses, answered } of ears.questions) if (addresses.has(claim.ip)) answered(claim);
    const held = ears.held.get(claim.ip);
    if (held === undefined || claim.mac === held.mac) return;
    this.#onConflict(held, claim.mac ?? 'unknown');
  }

  #onConflict(held: HeldAddress, other: string): void {
    const key = `${held.address} ${other}`;
    const conflict = this.#conflicts.get(key) ?? { ...held, other, since: Date.now() };
    if (!this.#conflicts.has(key)) {
      this.#conflicts.set(key, conflict);
      this.#options.log.warn(
        { address: held.address, endpoint: held.endpointId, mac: held.mac, other },
        'another host of the LAN uses the address of a container',
      );
    }
    const now = performance.now();
    if (now - (this.#defendedAt.get(held.address) ?? -defendIntervalMs) < defendIntervalMs) return;
    this.#defendedAt.set(held.address, now);
    this.#options.defend(conflict);
  }

  /** Who answers only now is heard by #onClaim, for the address is held by then. */
  async #repeat(ears: Ears, segment: Segment, addresses: readonly string[]): Promise<void> {
    for (const ms of repeatMs) {
      await wait(ms, this.#abort.signal);
      if (this.#ears.get(segment.link) !== ears) return;
      if (!send(ears, segment, addresses)) return;
    }
  }

  async #askAhead(ears: Ears, segment: Segment, next: readonly string[]): Promise<void> {
    await wait(aheadAfterMs, this.#abort.signal);
    if (this.#ears.get(segment.link) !== ears) return;
    const stale = performance.now() - clearForMs / 2;
    const wanted = next.filter(
      (address) => !ears.held.has(address) && (ears.clear.get(address) ?? Number.NEGATIVE_INFINITY) < stale,
    );
    if (wanted.length === 0 || !send(ears, segment, wanted)) return;
    const claimed = new Set<string>();
    const question: Question = { addresses: new Set(wanted), answered: ({ ip }) => claimed.add(ip) };
    ears.questions.add(question);
    await wait(firstWaitMs * 2, this.#abort.signal);
    ears.questions.delete(question);
    for (const address of wanted) if (!claimed.has(address)) ears.clear.set(address, performance.now());
  }
}

/** False when the link is down. */
function send({ arp, ndp }: Ears, { mac }: Segment, addresses: readonly string[]): boolean {
  try {
    for (const address of addresses) {
      if (address.includes(':')) {
        const { destination, packet } = encodeProbe(address);
        ndp.send(multicastMac(destination), packet);
      } else arp.send(everybody, encodeArpRequest({ senderMac: mac, senderIp: '0.0.0.0', targetIp: address }));
    }
    return true;
  } catch {
    return false;
  }
}

/** Ends early, without an error, when aborted. */
async function wait(ms: number, signal: AbortSignal): Promise<undefined> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => undefined);
}

/** `mac` is undefined where the other did not tell it. */
export function duplicate(ip: string, mac: string | undefined): PluginError {
  return new PluginError('NET_ADDRESS_DUPLICATE', `address ${ip} is in use on the LAN by ${mac ?? 'another host'}`, {
    hint: 'choose another with --ip, or keep the range of the pool apart from that of your router',
  });
}
