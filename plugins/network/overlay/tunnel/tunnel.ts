/**
 * The encrypted way between this host and the others, for all networks that want it: WireGuard, with a VXLAN of each network
 * inside. Its keys are told by the control plane; how they change is rotation.ts.
 *
 *     container ─ bridge ─ cx… ─ cleat-wg0 ── UDP ── cleat-wg0 ─ cx… ─ bridge ─ container
 *                               (fd…/128)           (fd…/128)
 *
 * Nothing goes out in clear: the VXLAN sends to addresses that exist inside the tunnel alone, the route to all of them is
 * `unreachable` but for those of peers with a key, and rules.ts drops what would leave by another link all the same. Both are
 * in the kernel before the VXLAN is, and stay when the daemon or wireguard-go is gone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isKernelError } from '../../../linux/errors.ts';
import { deleteRoute, listRoutes, RT_TABLE_MAIN, replaceRoute } from '../../../linux/netlink/route.ts';
import type { RouteSocket } from '../../../linux/netlink/route-socket.ts';
import { findSysctl } from '../../../linux/sysctl.ts';
import { removeWireguard } from '../../../linux/wireguard/device.ts';
import { NoWireguardError } from '../../../linux/wireguard/model.ts';
import { PluginError } from '../../../sdk/errors.ts';
import type { Store } from '../../../store/store.ts';
import { tunnelName } from '../../link/names.ts';
import type { Firewall } from '../../publish/firewall.ts';
import { tunnelAddress, tunnelPrefix } from './address.ts';
import { ensureTunnelDevice, type GivenEndpoints, isTunnelUp, type TunnelDevice, type TunnelPeer } from './device.ts';
import { ReceiveBuffers } from './receive-buffers.ts';
import { type TunnelKey, type TunnelRecord, TunnelRecords } from './records.ts';
import {
  chooseSlot,
  isSettled,
  nextEpoch,
  type RemoteTunnel,
  type SharedTunnel,
  type Slot,
  spentSlots,
} from './rotation.ts';
import { type TunnelTraffic, tunnelRules } from './rules.ts';

const section = 'tunnel';
const slots: readonly Slot[] = [0, 1];
/** WireGuard renews its session keys after two minutes and refuses them after three: REJECT_AFTER_TIME. */
const freshMs = 180_000;
/** While hands are being shaken. */
const pollMs = 200;
const pollForMs = 20_000;
/**
 * An old key stays for so long after the last packet by it. That everybody sends by the new one is heard sooner than what was sent
 * before has left the queues of wireguard-go, on a busy host.
 */
const quietMs = 2000;

export interface TunnelParts {
  readonly socket: RouteSocket;
  readonly store: Store;
  readonly firewall: Firewall;
  /** UDP; the one behind it is used as well. */
  readonly port: () => number;
  readonly rotateMs: () => number;
  /** What the others are told has changed. */
  readonly onChange: () => void;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export interface TunnelUse extends TunnelTraffic {
  /** Of this host on the underlay. */
  readonly host: string;
  /** What fits through the tunnel. */
  readonly mtu: number;
}

interface Use extends TunnelUse {
  remotes: readonly RemoteTunnel[];
  /** Not everybody has spoken yet: who was known stays. */
  keep: boolean;
}

/** How the tunnel to one host is. */
export interface TunnelPeerStatus {
  readonly endpoint: string | undefined;
  /** Since hands were shaken last, which made the session's keys; undefined: never. */
  readonly handshakeMs: number | undefined;
}

export class Tunnel {
  readonly #parts: TunnelParts;
  readonly #records: TunnelRecords;
  readonly #uses = new Map<string, Use>();
  readonly #devices = new Map<Slot, TunnelDevice>();
  readonly #given: Readonly<Record<Slot, GivenEndpoints>> = { 0: new Map(), 1: new Map() };
  readonly #buffers: ReceiveBuffers;
  #settled = false;
  /** Of a slot that nobody sends by any more. */
  readonly #spent = new Map<Slot, { readonly bytes: number; readonly since: number }>();
  #told = '';
  #running: Promise<void> | undefined;
  #again = false;
  #failure: unknown;
  #complaint = '';
  #pollUntil = 0;
  #poll: NodeJS.Timeout | undefined;
  #started = false;
  #closed = false;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
    this.#records = new TunnelRecords(parts.store);
    this.#buffers = new ReceiveBuffers(parts.log);
  }

  /** Names of the links that are in use. */
  links(): string[] {
    return this.#uses.size === 0 ? [] : (this.#records.find()?.keys ?? []).map(({ slot }) => tunnelName(slot));
  }

  get kind(): string {
    return [...this.#devices.values()][0]?.kind ?? 'down';
  }

  /** Of the key in use. */
  get keyAgeMs(): number | undefined {
    const record = this.#records.find();
    const key = record?.keys.find(({ slot }) => slot === record.epoch % 2);
    return key && Date.now() - key.madeAt;
  }

  /** The table is written: from now on rules go into the kernel at once. Takes away what no network needs any more. */
  started(): void {
    this.#started = true;
    if (this.#uses.size === 0 && this.#records.find()) this.#tearDown();
  }

  /**
   * A network takes part. When this returns nothing of it can leave in clear; `ready` tells when something can leave at all.
   * Throws NET_OVERLAY_TUNNEL.
   */
  open(network: string, use: TunnelUse): void {
    const before = this.#uses.get(network);
    this.#uses.set(network, { ...use, remotes: before?.remotes ?? [], keep: before?.keep ?? true });
    try {
      if (findSysctl('net/ipv6/conf/all/disable_ipv6') === undefined)
        throw new Error('the kernel of this host has no IPv6, which is used inside the tunnel');
      this.#records.inEpoch(this.#records.find()?.epoch ?? 1, Date.now());
      this.#parts.socket.apply(replaceRoute({ destination: tunnelPrefix, type: 'unreachable' }));
      this.#putRules();
    } catch (error) {
      if (!before) this.close(network);
      throw tunnelError(error);
    }
    this.#settleSoon();
  }

  /** What the others have said of their tunnels. */
  update(network: string, remotes: readonly RemoteTunnel[], keep: boolean): void {
    const use = this.#uses.get(network);
    if (!use) return;
    const same = JSON.stringify(use.remotes) === JSON.stringify(remotes) && use.keep === keep;
    use.remotes = remotes;
    use.keep = keep;
    if (!same) this.#settleSoon();
  }

  close(network: string): void {
    if (!this.#uses.delete(network)) return;
    if (this.#uses.size > 0) {
      this.#putRules();
      this.#settleSoon();
    } else this.#tearDown();
  }

  /** For the others; the network must have been opened. */
  shared(): SharedTunnel {
    const { epoch, keys } = this.#record();
    const port = this.#parts.port();
    return {
      epoch,
      settled: this.#settled,
      keys: keys.map(({ slot, publicKey }) => ({ slot, publicKey, port: port + slot })),
    };
  }

  /** Resolves when devices and peers are as wanted, or when neither that nor an error has come about in time. Throws NET_OVERLAY_TUNNEL. */
  async ready(withinMs: number): Promise<void> {
    await Promise.race([this.#running, delay(Math.max(0, withinMs), undefined, { ref: false })]);
    if (this.#failure !== undefined) throw tunnelError(this.#failure);
  }

  /** Looks after what others may have taken away, and whether the keys are old. */
  check(): void {
    if (this.#uses.size === 0) return;
    const age = this.keyAgeMs;
    if (age !== undefined && age > this.#parts.rotateMs() && this.#canRotate()) this.#count();
    this.#settleSoon();
  }

  /** New keys now. Throws NET_OVERLAY_TUNNEL while the last change is not over. */
  rotate(): void {
    if (this.#uses.size === 0) throw tunnelError(new Error('no network of this host is encrypted'));
    if (!this.#canRotate()) throw tunnelError(new Error('the last change of keys is not over on all hosts'));
    this.#count();
    this.#settleSoon();
  }

  status(host: string): TunnelPeerStatus | undefined {
    const remote = this.#remotes().find((one) => one.host === host);
    if (!remote) return undefined;
    const found = remote.tunnel.keys.flatMap(({ slot, publicKey }) => {
      const peer = this.#devices.get(slot)?.seen.peers.find((one) => one.publicKey === publicKey);
      return peer ? [peer] : [];
    });
    const latest = found.toSorted((a, b) => (b.handshakeAt ?? 0) - (a.handshakeAt ?? 0))[0];
    const at = latest?.handshakeAt;
    return { endpoint: latest?.endpoint, handshakeMs: at === undefined ? undefined : Math.max(0, Date.now() - at) };
  }

  async stop(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#poll);
    await this.#running;
  }

  #record(): TunnelRecord {
    const record = this.#records.find();
    if (!record) throw tunnelError(new Error('the tunnel is not open'));
    return record;
  }

  #canRotate(): boolean {
    const { epoch, keys } = this.#record();
    const over = this.#remotes().every(
      ({ tunnel }) => tunnel.epoch === epoch && tunnel.settled && tunnel.keys.length === 1,
    );
    return keys.length === 1 && this.#settled && over;
  }

  #count(): void {
    const { epoch } = this.#record();
    this.#enter(epoch + 1);
    this.#parts.log.info({ epoch: epoch + 1 }, 'the keys of the tunnel change');
  }

  /** In a new epoch nothing goes by its slot yet, which the others must not be told otherwise for a moment. */
  #enter(epoch: number): TunnelRecord {
    if (this.#record().epoch !== epoch) this.#settled = false;
    return this.#records.inEpoch(epoch, Date.now());
  }

  /** One for each host; of two that use one address, the one that spoke last. */
  #remotes(): RemoteTunnel[] {
    const byHost = new Map([...this.#uses.values()].flatMap(({ remotes }) => remotes.map((one) => [one.host, one])));
    return [...byHost.values()];
  }

  #putRules(): void {
    const rules = tunnelRules([...this.#uses.values()], slots.map(tunnelName));
    if (this.#started) this.#parts.firewall.putSection(section, rules);
    else this.#parts.firewall.noteSection(section, rules);
  }

  #settleSoon(): void {
    this.#pollUntil = performance.now() + pollForMs;
    this.#run();
  }

  #run(): void {
    clearTimeout(this.#poll);
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = this.#settleAll().finally(() => {
      this.#running = undefined;
    });
  }

  async #settleAll(): Promise<void> {
    do {
      this.#again = false;
      if (this.#uses.size === 0 || this.#closed) return;
      try {
        await this.#settle();
        this.#failure = undefined;
        this.#complaint = '';
      } catch (error) {
        this.#failure = error;
        const words = (error as Error).message;
        if (words !== this.#complaint) this.#parts.log.warn({ err: error }, 'the tunnel is not as it should be');
        this.#complaint = words;
      }
    } while (this.#again);
    const waits = !this.#settled || this.#record().keys.length > 1 || this.#failure !== undefined;
    if (waits && performance.now() < this.#pollUntil) this.#poll = setTimeout(() => this.#run(), pollMs).unref();
  }

  async #settle(): Promise<void> {
    const remotes = this.#remotes();
    const record = this.#enter(nextEpoch(this.#record().epoch, remotes));
    this.#tell();
    for (const key of record.keys) {
      const device = await this.#ensureDevice(key, remotes);
      // Meanwhile the last network may have gone, and the device with it.
      if (this.#uses.size === 0) return;
      this.#devices.set(key.slot, device);
    }
    if (this.kind === 'wireguard-go') this.#buffers.ensure(record.keys.map(({ slot }) => this.#parts.port() + slot));
    const own = { epoch: record.epoch, slots: record.keys.map(({ slot }) => slot) };
    const shaken = (host: string, slot: Slot) => this.#isShaken(host, slot);
    this.#putRoutes(remotes.map((remote) => ({ host: remote.host, slot: chooseSlot(own, remote, shaken) })));
    this.#settled = isSettled(own, remotes, shaken);
    this.#tell();
    const spent = this.#keeps() ? [] : spentSlots({ ...own, settled: this.#settled }, remotes);
    for (const slot of slots) if (!spent.includes(slot)) this.#spent.delete(slot);
    const over = spent.filter((slot) => this.#isQuiet(slot));
    if (over.length === 0) return;
    this.#records.drop(over);
    for (const slot of over) this.#removeDevice(slot);
    this.#parts.log.info({ epoch: record.epoch }, 'the old keys of the tunnel are gone');
    this.#tell();
  }

  /** Whether nothing has come or gone by the slot for long enough, as it is asked again and again. */
  #isQuiet(slot: Slot): boolean {
    const peers = this.#devices.get(slot)?.seen.peers ?? [];
    const bytes = peers.reduce((sum, { receivedBytes, sentBytes }) => sum + receivedBytes + sentBytes, 0);
    const before = this.#spent.get(slot);
    if (before?.bytes === bytes) return performance.now() - before.since > quietMs;
    this.#spent.set(slot, { bytes, since: performance.now() });
    return false;
  }

  #keeps(): boolean {
    return [...this.#uses.values()].some(({ keep }) => keep);
  }

  async #ensureDevice(key: TunnelKey, remotes: readonly RemoteTunnel[]): Promise<TunnelDevice> {
    const uses = [...this.#uses.values()];
    const peers = new Map<string, TunnelPeer>();
    for (const { host, tunnel } of remotes) {
      const one = tunnel.keys.find(({ slot }) => slot === key.slot);
      if (!one) continue;
      const before = peers.get(one.publicKey);
      peers.set(one.publicKey, {
        publicKey: one.publicKey,
        endpoint: before?.endpoint ?? { address: host, port: one.port },
        addresses: [...(before?.addresses ?? []), tunnelAddress(host)],
      });
    }
    const plan = {
      key,
      port: this.#parts.port() + key.slot,
      mtu: Math.min(...uses.map(({ mtu }) => mtu)),
      addresses: [...new Set(uses.map(({ host }) => tunnelAddress(host)))],
      peers: [...peers.values()],
      keepPeers: this.#keeps(),
    };
    return await ensureTunnelDevice(this.#parts.socket, plan, this.#given[key.slot]);
  }

  #isShaken(host: string, slot: Slot): boolean {
    const key = this.#remotes()
      .find((one) => one.host === host)
      ?.tunnel.keys.find((one) => one.slot === slot)?.publicKey;
    const at = this.#devices.get(slot)?.seen.peers.find(({ publicKey }) => publicKey === key)?.handshakeAt;
    return at !== undefined && Date.now() - at < freshMs;
  }

  /** Every peer's address by the link of its slot; the others are unreachable. */
  #putRoutes(wanted: readonly { readonly host: string; readonly slot: Slot | undefined }[]): void {
    const { socket } = this.#parts;
    const links = new Map([...this.#devices].map(([slot, { link }]) => [slot, link]));
    const ours = new Set(links.values());
    const there = new Map(
      listRoutes(socket, { family: 6, table: RT_TABLE_MAIN })
        .filter(({ link, destination }) => link !== undefined && ours.has(link) && destination.endsWith('/128'))
        .map(({ destination, link }) => [destination, link]),
    );
    socket.apply(replaceRoute({ destination: tunnelPrefix, type: 'unreachable' }));
    for (const { host, slot } of wanted) {
      const destination = `${tunnelAddress(host)}/128`;
      const link = slot === undefined ? undefined : links.get(slot);
      const before = there.get(destination);
      there.delete(destination);
      if (link === undefined || link === before) continue;
      socket.apply(replaceRoute({ destination, link }));
    }
    if (this.#keeps()) return;
    for (const [destination, link] of there)
      if (link !== undefined) ignoreMissing(socket.attempt([deleteRoute({ destination, link })]));
  }

  #removeDevice(slot: Slot): void {
    removeWireguard(this.#parts.socket, tunnelName(slot));
    this.#devices.delete(slot);
    this.#spent.delete(slot);
    this.#given[slot].clear();
  }

  #tearDown(): void {
    const { socket, firewall } = this.#parts;
    for (const slot of slots) this.#removeDevice(slot);
    ignoreMissing(socket.attempt([deleteRoute({ destination: tunnelPrefix, type: 'unreachable' })]));
    this.#records.clear();
    this.#settled = false;
    this.#told = '';
    if (this.#started) firewall.putSection(section, '');
    else firewall.noteSection(section, '');
  }

  #tell(): void {
    const text = JSON.stringify(this.shared());
    if (text === this.#told) return;
    this.#told = text;
    this.#parts.onChange();
  }

  /** Whether the links are there. */
  isWhole(): boolean {
    return (this.#records.find()?.keys ?? []).every((key) => isTunnelUp(this.#parts.socket, key));
  }
}

function ignoreMissing(errors: readonly (Error | undefined)[]): void {
  for (const error of errors) if (error && !isKernelError(error, 'ESRCH', 'ENODEV')) throw error;
}

function tunnelError(error: unknown): PluginError {
  if (error instanceof PluginError) return error;
  const missing = error instanceof NoWireguardError;
  return new PluginError(
    'NET_OVERLAY_TUNNEL',
    `the encrypted way to the other hosts cannot be had: ${(error as Error).message}`,
    {
      hint: missing
        ? 'load the kernel module wireguard, or install the package wireguard-go'
        : 'see `cleat overlay peers`; without encryption: leave "encrypted" away',
      cause: error,
    },
  );
}
