/**
 * Keeps the host's packet filter the same as what this process wants: networks and published ports. What is wanted lives here in
 * memory, and comes from the records at start; what the kernel has is only ever its image, so a change that the kernel refuses, or
 * rules that somebody else edited, are mended by writing everything. How rules are written is the writer's: nft-writer.ts, or
 * iptables-writer.ts where a host has no nftables.
 */
import { PluginError } from '../../sdk/errors.ts';
import type { NetworkRules, PortRule, RuleChange, RuleWriter, WantedRules } from './rules.ts';

export interface FirewallLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export class Firewall {
  readonly writer: RuleWriter;
  readonly #log: FirewallLog;
  readonly #networks = new Map<string, NetworkRules>();
  /** owner (an endpoint's id) → its ports. */
  readonly #ports = new Map<string, readonly PortRule[]>();
  readonly #sections = new Map<string, string>();
  #proxyPort: number | undefined;
  /** Before the first write there is nothing to change step by step. */
  #written = false;

  constructor(writer: RuleWriter, log: FirewallLog) {
    this.writer = writer;
    this.#log = log;
  }

  /** Adds the network, or brings its rules to these. */
  putNetwork(network: NetworkRules): void {
    const before = this.#networks.get(network.key);
    this.#change(this.#networks, network.key, network, { kind: 'put-network', network, before });
  }

  /** With the last network goes everything. */
  removeNetwork(key: string): void {
    const network = this.#networks.get(key);
    if (!network) return;
    if (this.#networks.size === 1 && this.#ports.size === 0 && this.#sections.size === 0) {
      this.#networks.delete(key);
      this.removeAll();
    } else this.#change(this.#networks, key, undefined, { kind: 'remove-network', network });
  }

  /** All ports of one owner, in one transaction; what the owner had before goes. */
  putPorts(owner: string, after: readonly PortRule[]): void {
    const before = this.#ports.get(owner) ?? [];
    if (before.length === 0 && after.length === 0) return;
    this.#change(this.#ports, owner, after.length > 0 ? after : undefined, { kind: 'ports', before, after });
  }

  removePorts(owner: string): void {
    this.putPorts(owner, []);
  }

  /**
   * Chains of another service among ours, in the language of nft(8); their names begin with the section's. Rare: everything is
   * written. An empty text takes the section away. Throws NET_FIREWALL, also where the host has no nftables.
   */
  putSection(name: string, text: string): void {
    const before = this.#sections.get(name) ?? '';
    if (before === text) return;
    this.noteSection(name, text);
    try {
      this.rewrite();
    } catch (error) {
      this.noteSection(name, before);
      throw refused(error);
    }
  }

  /** Where our proxy listens; undefined takes the redirections to it away. */
  setProxyPort(port: number | undefined): void {
    if (this.#proxyPort === port) return;
    this.#proxyPort = port;
    if (this.#written) this.rewrite();
  }

  /** During restore: what is wanted is only noted, and written by one `settle()` in the end. */
  noteNetwork(rules: NetworkRules): void {
    this.#networks.set(rules.key, rules);
  }

  noteSection(name: string, text: string): void {
    if (text !== '' && !this.writer.takesSections)
      throw refused(new Error(`${this.writer.name} cannot do what is needed; it takes nftables`));
    setOrDelete(this.#sections, name, text === '' ? undefined : text);
  }

  notePorts(owner: string, ports: readonly PortRule[]): void {
    if (ports.length > 0) this.#ports.set(owner, ports);
  }

  /** After restore: everything as noted, or nothing on a host without networks. */
  settle(): void {
    if (this.#networks.size > 0 || this.#sections.size > 0) this.rewrite();
    else this.removeAll();
  }

  /** Replaces what the kernel has of ours. */
  rewrite(): void {
    this.writer.write(this.#wanted());
    this.#written = true;
  }

  /** Takes everything off the host. */
  removeAll(): void {
    this.writer.remove();
    this.#written = false;
  }

  get networkCount(): number {
    return this.#networks.size;
  }

  #wanted(): WantedRules {
    return {
      // In one order, whatever the order of their making: a restart writes the same text.
      networks: [...this.#networks.values()].sort((a, b) => (a.key < b.key ? -1 : 1)),
      ports: [...this.#ports.values()].flat(),
      sections: [...this.#sections.values()],
      ...(this.#proxyPort !== undefined && { proxyPort: this.#proxyPort }),
    };
  }

  #change<V>(map: Map<string, V>, key: string, value: V | undefined, change: RuleChange): void {
    const before = map.get(key);
    setOrDelete(map, key, value);
    try {
      if (this.#written && this.#tryApply(change)) return;
      this.rewrite();
    } catch (error) {
      setOrDelete(map, key, before);
      throw refused(error);
    }
  }

  #tryApply(change: RuleChange): boolean {
    try {
      this.writer.apply(change, this.#wanted());
      return true;
    } catch (error) {
      // Most likely the rules are not what we left: somebody flushed or edited them a moment ago.
      this.#log.warn({ err: error }, 'our rules did not take a change; writing them whole');
      return false;
    }
  }
}

function refused(error: unknown): PluginError {
  return new PluginError('NET_FIREWALL', `the packet filter refused a change: ${(error as Error).message}`, {
    cause: error,
  });
}

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
