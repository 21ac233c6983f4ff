/**
 * Tests the ways to the other hosts, from the moment that they are there: latency, loss, the largest packet, and whether
 * checksums arrive whole. Damaged ones are mended on our own VXLANs; the rest is told.
 */
import type { Socket } from 'node:dgram';
import type { RouteSocket } from '../../../linux/netlink/route-socket.ts';
import { openUdpSocket } from '../../../linux/socket.ts';
import {
  ensureProbeDevice,
  fillChecksums,
  leavesChecksums,
  type ProbePlan,
  probeAddress,
  probeLink,
  removeProbeDevice,
} from './device.ts';
import { Path, type PathStatus } from './path.ts';

/** UDP, on the probes' own VXLAN. */
const port = 4788;
const fastMs = 200;
const slowMs = 2000;
/** Rounds at the fast pace after a host has come, and while something is looked for. */
const fastRounds = 16;
const magic = 0x636c_7431;
const [ask, answer] = [0, 1];
const headerSize = 9;
/** IPv6 and UDP. */
const outerSize = 48;

export interface ProberParts {
  readonly socket: RouteSocket;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export interface ProbeUse extends ProbePlan {
  /** Names of the VXLANs of networks that send like the probes do. */
  readonly links: readonly string[];
}

interface Sockets {
  readonly host: string;
  /** Listens; its packets have no checksum. */
  readonly plain: Socket;
  readonly checked: Socket;
}

interface Way {
  readonly path: Path;
  lastAt: number;
  said: string;
}

export class Prober {
  readonly #parts: ProberParts;
  readonly #ways = new Map<string, Way>();
  #use: ProbeUse | undefined;
  #sockets: Sockets | undefined;
  #opening: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #id = 0;
  #mended = false;
  #complaint = '';
  #settled = '';

  constructor(parts: ProberParts) {
    this.#parts = parts;
  }

  /** Names of the links that are in use. */
  links(): string[] {
    return this.#use ? [probeLink] : [];
  }

  /** Whether this host fills in checksums itself, because they were damaged on the way. */
  get mended(): boolean {
    return this.#mended;
  }

  /** What is to be tested; undefined: nothing. Cheap when that is as before. */
  update(use: ProbeUse | undefined): void {
    if (JSON.stringify(use) !== this.#settled) this.settle(use);
  }

  /** The same, and mends what has gone. */
  settle(use: ProbeUse | undefined): void {
    try {
      this.#settle(use);
      this.#settled = JSON.stringify(use);
      this.#complaint = '';
    } catch (error) {
      // The networks work without it.
      const words = (error as Error).message;
      if (words !== this.#complaint) this.#parts.log.warn({ err: error }, 'the ways to other hosts cannot be tested');
      this.#complaint = words;
    }
  }

  status(host: string): PathStatus | undefined {
    return this.#ways.get(host)?.path.status();
  }

  /** What is wrong with the way to it for a network of that MTU, in words for people; empty when nothing is. */
  problem(host: string, networkMtu = Number.POSITIVE_INFINITY): string {
    const status = this.status(host);
    return status && this.#use ? pathProblem(status, this.#use.port, networkMtu) : '';
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#opening;
    this.#close();
  }

  #settle(use: ProbeUse | undefined): void {
    const { socket } = this.#parts;
    if (!use || use.peers.length === 0) {
      if (!this.#use) return;
      this.#use = undefined;
      this.#ways.clear();
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#close();
      removeProbeDevice(socket);
      return;
    }
    const first = !this.#use;
    const mtu = this.#use?.mtu ?? use.mtu;
    this.#use = use;
    ensureProbeDevice(socket, use);
    // Of an earlier run of this daemon.
    if (first) this.#mended = !leavesChecksums(probeLink);
    if (this.#mended) for (const link of [probeLink, ...use.links]) fillChecksums(link);
    for (const host of this.#ways.keys()) if (mtu !== use.mtu || !use.peers.includes(host)) this.#ways.delete(host);
    for (const host of use.peers)
      if (!this.#ways.has(host)) this.#ways.set(host, { path: new Path(use.mtu), lastAt: 0, said: '' });
    this.#timer ??= setInterval(() => this.#tick(), fastMs).unref();
    if (this.#sockets?.host !== use.host) this.#open(use.host);
  }

  #open(host: string): void {
    this.#opening = this.#opening.then(async () => {
      this.#close();
      if (this.#use?.host !== host) return;
      const common = { address: probeAddress(host), device: probeLink, acceptNoChecksum: true };
      try {
        const plain = await openUdpSocket({ ...common, port, sendNoChecksum: true });
        const checked = await openUdpSocket({ ...common, port: 0 });
        this.#sockets = { host, plain, checked };
        for (const one of [plain, checked]) {
          one.on('message', (bytes, from) => this.#take(bytes, from));
          one.on('error', () => this.#close());
        }
      } catch (error) {
        this.#parts.log.warn({ err: error }, 'the ways to other hosts cannot be tested');
      }
    });
  }

  #close(): void {
    this.#sockets?.plain.close();
    this.#sockets?.checked.close();
    this.#sockets = undefined;
  }

  #tick(): void {
    const sockets = this.#sockets;
    if (!sockets) return;
    const now = performance.now();
    for (const [host, way] of this.#ways) {
      const { path } = way;
      const pace = path.rounds < fastRounds || path.searching ? fastMs / 2 : slowMs;
      if (now - way.lastAt < pace) continue;
      way.lastAt = now;
      for (const { id, checked, size } of path.next(now, () => this.#nextId())) {
        const bytes = message(ask, id, size - outerSize);
        // Too large for the link just now, or the link is gone: then it does not come back.
        (checked ? sockets.checked : sockets.plain).send(bytes, port, probeAddress(host), () => {});
      }
      this.#judge(host, way);
    }
  }

  #take(bytes: Buffer, from: { readonly address: string; readonly port: number }): void {
    if (bytes.length < headerSize || bytes.readUInt32BE() !== magic) return;
    const id = bytes.readUInt32BE(5);
    if (bytes[4] === ask) {
      this.#sockets?.plain.send(message(answer, id, headerSize), from.port, from.address.split('%')[0], () => {});
      return;
    }
    for (const [host, { path }] of this.#ways)
      if (from.address.startsWith(probeAddress(host))) path.back(id, performance.now());
  }

  #judge(host: string, way: Way): void {
    const { checksums, mtuHole, mtu, silent } = way.path.status();
    if (checksums === 'damaged' && !this.#mended) this.#mend(host);
    const hole = mtuHole && !way.path.searching ? `hole ${mtu}` : '';
    const trouble = silent ? 'silent' : hole || (checksums === 'damaged' ? 'checksums' : '');
    if (trouble === way.said) return;
    way.said = trouble;
    if (trouble !== '') this.#parts.log.warn({ host }, this.problem(host));
  }

  #mend(host: string): void {
    this.#mended = true;
    for (const link of [probeLink, ...(this.#use?.links ?? [])]) fillChecksums(link);
    for (const { path } of this.#ways.values()) path.changed();
    this.#parts.log.warn(
      { host, links: this.#use?.links },
      'checksums of packets inside VXLAN are damaged on the way, most likely by a network card; this host fills them in itself now (tx-checksum-ip-generic off on its VXLANs)',
    );
  }

  #nextId(): number {
    this.#id = (this.#id + 1) >>> 0;
    return this.#id;
  }
}

function pathProblem({ checksums, mtuHole, mtu, silent }: PathStatus, port: number, networkMtu: number): string {
  if (silent) return `nothing passes to it by UDP ${port}: a firewall, or a NAT, which encrypted networks get through`;
  if (checksums === 'damaged') return 'checksums of packets to it are damaged on the way';
  if (!mtuHole || (mtu !== undefined && networkMtu <= mtu)) return '';
  return mtu === undefined
    ? 'large packets to it are lost on the way'
    : `packets of more than ${mtu} bytes to it are lost on the way: make the network with -o com.docker.network.driver.mtu=${mtu}`;
}

function message(kind: number, id: number, size: number): Buffer {
  const bytes = Buffer.alloc(Math.max(size, headerSize));
  bytes.writeUInt32BE(magic);
  bytes.writeUInt8(kind, 4);
  bytes.writeUInt32BE(id, 5);
  return bytes;
}
