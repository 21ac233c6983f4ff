/**
 * Which host ports our endpoints hold, and free ones among the rest. In memory: the records of the endpoints are the truth.
 * Two holders may share a port number only in different protocols or families, or on two different addresses.
 */

import { PluginError } from '../../sdk/errors.ts';
import type { TransportProtocol } from '../../sdk/network-plugin.ts';
import type { HostScope, PortChoice, PublishedPort } from './port-binding.ts';

interface Held {
  readonly owner: string;
  readonly port: PublishedPort;
}

/** Asks the host, beyond our own records, whether a port can be had; throws what says who holds it. */
export type TryPort = (protocol: TransportProtocol, scopes: readonly HostScope[], port: number) => void;

/** What is known of those who hold ports. */
export interface Holders {
  name(owner: string): string;
  /** Frees all that a holder has when it has abandoned it; whether it did. */
  giveUp(owner: string): boolean;
}

export class PortIndex {
  /** `tcp/8080` → holders; ranges are kept apart so that they cost one entry. */
  readonly #single = new Map<string, Held[]>();
  readonly #ranges = new Set<Held>();
  readonly #owners = new Map<string, Held[]>();
  /** Where the next search for any port begins; goes round, so that a freed port is not handed out again at once. */
  #next = new Map<TransportProtocol, number>();

  add(owner: string, ports: readonly PublishedPort[]): void {
    for (const port of ports) {
      if (port.via === 'routed') continue;
      const held = { owner, port };
      if (port.hostPort === port.hostPortEnd) push(this.#single, `${port.protocol}/${port.hostPort}`, held);
      else this.#ranges.add(held);
      push(this.#owners, owner, held);
    }
  }

  remove(owner: string): void {
    for (const held of this.#owners.get(owner) ?? []) {
      const key = `${held.port.protocol}/${held.port.hostPort}`;
      const rest = this.#single.get(key)?.filter((other) => other !== held) ?? [];
      if (rest.length > 0) this.#single.set(key, rest);
      else this.#single.delete(key);
      this.#ranges.delete(held);
    }
    this.#owners.delete(owner);
  }

  /** Who holds the port in one of the scopes. */
  findHolder(
    protocol: TransportProtocol,
    scopes: readonly HostScope[],
    port: number,
  ): { owner: string; port: PublishedPort } | undefined {
    const clashes = (held: Held) => scopes.some((scope) => sameScope(scope, held.port));
    const single = this.#single.get(`${protocol}/${port}`)?.find(clashes);
    if (single || this.#ranges.size === 0) return single;
    for (const held of this.#ranges) {
      const { hostPort, hostPortEnd } = held.port;
      if (held.port.protocol === protocol && hostPort <= port && port <= hostPortEnd && clashes(held)) return held;
    }
    return undefined;
  }

  /** What a packet to this address and port is published to; for our proxy. */
  findTarget(
    protocol: TransportProtocol,
    scope: HostScope,
    port: number,
  ): { address: string; port: number } | undefined {
    const found = this.findHolder(protocol, [scope], port)?.port;
    return found && { address: found.containerAddress, port: found.containerPort + port - found.hostPort };
  }

  /**
   * A port of the choice that is free here and for `tryPort`. An exact one that is taken throws who holds it; of a range or of
   * any, the first free one is taken.
   */
  choose(choice: PortChoice, tryPort: TryPort, holders: Holders): number {
    const { protocol, scopes, first, last, kind } = choice;
    const count = last - first + 1;
    const begin = kind === 'any' ? Math.max(0, (this.#next.get(protocol) ?? first) - first) % count : 0;
    let reason: unknown;
    for (let step = 0; step < count; step++) {
      const port = first + ((begin + step) % count);
      const holder = this.findHolder(protocol, scopes, port);
      if (holder && !(kind === 'exact' && holders.giveUp(holder.owner))) {
        reason ??= taken(port, holder.port, holders.name(holder.owner));
        continue;
      }
      try {
        tryPort(protocol, scopes, port);
      } catch (error) {
        if (kind === 'exact' || !(error instanceof PluginError) || error.code !== 'NET_PORT_TAKEN') throw error;
        reason ??= error;
        continue;
      }
      if (kind === 'any') this.#next.set(protocol, port + 1);
      return port;
    }
    if (kind === 'exact' && reason) throw reason;
    throw new PluginError('NET_PORTS_EXHAUSTED', `no ${protocol} port from ${first} to ${last} is free on this host`, {
      hint: kind === 'any' ? 'widen net.ipv4.ip_local_port_range or name the port' : 'give a wider range',
      cause: reason,
    });
  }

  get size(): number {
    return this.#single.size + this.#ranges.size;
  }
}

function taken(port: number, held: PublishedPort, holder: string): PluginError {
  const where = held.hostAddress === '' ? 'every address' : held.hostAddress;
  return new PluginError(
    'NET_PORT_TAKEN',
    `host port ${port}/${held.protocol} is already published on ${where} by ${holder}`,
    {
      hint: 'stop that container or publish another port',
    },
  );
}

/** Whether a holder's address covers the scope or the other way round. */
function sameScope(scope: HostScope, held: PublishedPort): boolean {
  if (scope.family !== held.family) return false;
  return scope.address === '' || held.hostAddress === '' || scope.address === held.hostAddress;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
