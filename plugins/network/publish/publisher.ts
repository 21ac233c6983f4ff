/**
 * Publishes ports of endpoints, for every driver whose containers are reached through the host: chooses host ports, holds
 * them, and puts them into the firewall's maps. One endpoint is one transaction of the packet filter and one record.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { BoundSocket } from '../../linux/bound-sockets.ts';
import { forgetConnections } from '../../linux/conntrack.ts';
import type { PortBinding } from '../../sdk/network-plugin.ts';
import type { Store, Table } from '../../store/store.ts';
import type { Firewall } from './firewall.ts';
import { HeldPorts } from './held-ports.ts';
import { type PublishedPort, type PublishTarget, portRules, resolveBindings } from './port-binding.ts';
import { PortIndex } from './port-index.ts';
import { openPortsRecords, type PortsRecord } from './records.ts';

export interface PublishRequest {
  readonly networkId: string;
  readonly endpointId: string;
  readonly bindings: readonly PortBinding[];
  readonly target: PublishTarget;
}

export interface PublisherParts {
  readonly store: Store;
  readonly firewall: Firewall;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  /** How a user knows the endpoint: a container's name where it is known. */
  readonly nameEndpoint: (endpointId: string) => string;
  /** Whether nobody lives behind the endpoint any more, so that another may have its ports. */
  readonly isAbandoned: (endpointId: string) => boolean;
}

export class Publisher {
  readonly index = new PortIndex();
  readonly #parts: PublisherParts;
  readonly #records: Table<PortsRecord>;
  readonly #held: HeldPorts;
  /** In memory too: listing and restarts of the proxy need no disk. */
  readonly #ports = new Map<string, PortsRecord>();

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#records = openPortsRecords(parts.store);
    this.#held = new HeldPorts(parts.log);
  }

  /**
   * Reads the records and holds their ports again; the firewall only notes them, its caller writes the table. Ports of
   * endpoints that `exists` does not know are dropped.
   */
  restore(exists: (endpointId: string) => boolean): void {
    for (const [endpointId, record] of this.#records.entries()) {
      if (!exists(endpointId)) {
        this.#records.delete(endpointId);
        continue;
      }
      this.#keep(record);
      this.#held.hold(endpointId, record.ports);
      this.#parts.firewall.notePorts(endpointId, record.ports.flatMap(portRules));
    }
  }

  /** Publishes, or answers what is published already for the same request. Throws NET_PORT_ errors and NET_FIREWALL. */
  publish(request: PublishRequest): readonly PublishedPort[] {
    const { endpointId, networkId, bindings, target } = request;
    const asked = createHash('sha256')
      .update(JSON.stringify([bindings, target]))
      .digest('base64');
    const present = this.#ports.get(endpointId);
    if (present?.asked === asked) return present.ports;
    if (present) this.revoke(endpointId);
    if (bindings.length === 0) return [];
    using attempt = this.#held.begin(bindings.length);
    const holders = { name: this.#parts.nameEndpoint, giveUp: (owner: string) => this.#giveUp(owner) };
    const ports = resolveBindings(bindings, target, ephemeralPorts(), (choice) =>
      this.index.choose(choice, attempt.tryPort, holders),
    );
    if (ports.length === 0) return [];
    const record = { networkId, endpointId, asked, ports };
    this.#parts.firewall.putPorts(endpointId, ports.flatMap(portRules));
    try {
      // Not synced: ports do not outlive the endpoint's link, nor that the machine.
      this.#parts.store.unsynced(() => this.#records.put(endpointId, record));
    } catch (error) {
      this.#parts.firewall.removePorts(endpointId);
      throw error;
    }
    attempt.keep(endpointId);
    this.#keep(record);
    // A client that sent datagrams before would be kept on its old way for as long as it goes on.
    this.#forget(ports.flatMap(flowsToHost));
    return ports;
  }

  /** Success when nothing is published. */
  revoke(endpointId: string): void {
    const record = this.#ports.get(endpointId);
    if (!record) return;
    this.#parts.store.unsynced(() => this.#records.delete(endpointId));
    this.#ports.delete(endpointId);
    this.index.remove(endpointId);
    this.#held.release(endpointId);
    this.#parts.firewall.removePorts(endpointId);
    this.#forget(record.ports.flatMap(flowsToContainer));
  }

  /** Where our own proxy listens, which stands in nobody's way. */
  setProxyPort(port: number | undefined): void {
    this.#held.setOwnPort(port);
  }

  isOwnSocket(socket: BoundSocket): boolean {
    return this.#held.isOwn(socket);
  }

  /** Endpoints whose ports a process could take, because there are too many to hold. */
  unheld(): PortsRecord[] {
    return this.list().filter(({ endpointId }) => this.#held.isUnheld(endpointId));
  }

  list(): PortsRecord[] {
    return [...this.#ports.values()];
  }

  portsOf(endpointId: string): readonly PublishedPort[] {
    return this.#ports.get(endpointId)?.ports ?? [];
  }

  close(): void {
    this.#held.close();
  }

  #giveUp(owner: string): boolean {
    if (!this.#parts.isAbandoned(owner)) return false;
    this.#parts.log.info({ endpoint: owner }, 'the ports of an abandoned endpoint go to another');
    this.revoke(owner);
    return true;
  }

  #keep(record: PortsRecord): void {
    this.#ports.set(record.endpointId, record);
    this.index.add(record.endpointId, record.ports);
  }

  #forget(flows: Parameters<typeof forgetConnections>[0]): void {
    if (flows.length === 0) return;
    try {
      const count = forgetConnections(flows);
      if (count > 0) this.#parts.log.info({ count }, 'forgot UDP flows of ports that changed hands');
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'old UDP flows could not be forgotten; they last until they are idle');
    }
  }
}

/** UDP is 17; TCP and SCTP notice by themselves that the other end has changed. */
function flowsToHost({ protocol, via, family, hostAddress, hostPort, hostPortEnd }: PublishedPort) {
  if (protocol !== 'udp' || via !== 'nat') return [];
  const ends = { destinationPort: hostPort, destinationPortEnd: hostPortEnd };
  return [{ family, protocol: 17, ...ends, ...(hostAddress !== '' && { destination: hostAddress }) }];
}

function flowsToContainer({
  protocol,
  via,
  family,
  containerAddress,
  containerPort,
  hostPort,
  hostPortEnd,
}: PublishedPort) {
  if (protocol !== 'udp' || via !== 'nat') return [];
  const ends = { replySourcePort: containerPort, replySourcePortEnd: containerPort + hostPortEnd - hostPort };
  return [{ family, protocol: 17, replySource: containerAddress, ...ends }];
}

/** The range that the host itself takes ports from for connections, as Docker does. */
function ephemeralPorts(): { first: number; last: number } {
  try {
    const [first = 0, last = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
      .split(/\s+/)
      .map(Number);
    if (first > 0 && last >= first) return { first, last };
  } catch {
    // A host without the setting: the kernel's default below.
  }
  return { first: 32768, last: 60999 };
}
