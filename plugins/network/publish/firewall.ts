/**
 * Keeps the table `inet cleat` in the kernel the same as what this process wants: networks, published ports, and rules that
 * other services add. What is wanted lives here in memory, and comes from the records at start; the kernel's table is only
 * ever its image, so a change that the kernel refuses, or a table that somebody else edited, is mended by writing it whole.
 *
 * Every change is one transaction: packets see the table before it or after it, and never between.
 */
import { PluginError } from '../../sdk/errors.ts';
import {
  addNetworkText,
  type Element,
  elementsText,
  type NetworkRules,
  removeNetworkText,
  tableName,
  wholeTableText,
} from './table.ts';

/** Runs nftables commands as one transaction; throws when the kernel refuses any of them, and then nothing has changed. */
export interface PacketFilter {
  run(commands: string): void;
}

export interface FirewallLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export class Firewall {
  readonly #filter: PacketFilter;
  readonly #log: FirewallLog;
  readonly #networks = new Map<string, NetworkRules>();
  /** owner (an endpoint's id) → its elements. */
  readonly #elements = new Map<string, readonly Element[]>();
  readonly #sections = new Map<string, string>();
  #proxyPort: number | undefined;
  /** Before the first write there is nothing to change step by step. */
  #written = false;
  /** Called after each own transaction, so that the watch can tell ours from others'. */
  #afterOwnChange: () => void = () => {};

  constructor(filter: PacketFilter, log: FirewallLog) {
    this.#filter = filter;
    this.#log = log;
  }

  onOwnChange(listener: () => void): void {
    this.#afterOwnChange = listener;
  }

  /** Adds the network, or brings its rules to these. */
  putNetwork(rules: NetworkRules): void {
    const before = this.#networks.get(rules.key);
    const removal = before && before.interfaceName !== rules.interfaceName ? removeNetworkText(before) : '';
    this.#change(
      this.#networks,
      rules.key,
      rules,
      removal === '' ? addNetworkText(rules) : `${removal}\n${addNetworkText(rules)}`,
    );
  }

  /** With the last network goes the table. */
  removeNetwork(key: string): void {
    const before = this.#networks.get(key);
    if (!before) return;
    if (this.#networks.size === 1 && this.#elements.size === 0 && this.#sections.size === 0) {
      this.#networks.delete(key);
      this.removeTable();
    } else this.#change(this.#networks, key, undefined, removeNetworkText(before));
  }

  /** All elements of one owner, in one transaction; what the owner had before goes. */
  putElements(owner: string, elements: readonly Element[]): void {
    const before = this.#elements.get(owner) ?? [];
    const commands = [elementsText('delete', before), elementsText('add', elements)].filter((text) => text !== '');
    if (commands.length === 0) return;
    this.#change(this.#elements, owner, elements.length > 0 ? elements : undefined, commands.join('\n'));
  }

  removeElements(owner: string): void {
    this.putElements(owner, []);
  }

  /**
   * Chains and sets of another service inside our table, as text between the braces of `table inet cleat { … }`. Their names
   * begin with the section's. Rare: the table is written whole. An empty text takes the section away.
   */
  putSection(name: string, text: string): void {
    if ((this.#sections.get(name) ?? '') === text) return;
    if (text === '') this.#sections.delete(name);
    else this.#sections.set(name, text);
    this.rewrite();
  }

  /** Where our proxy listens; undefined takes the redirections to it away. */
  setProxyPort(port: number | undefined): void {
    if (this.#proxyPort === port) return;
    this.#proxyPort = port;
    if (this.#written) this.rewrite();
  }

  /** During restore: what is wanted is only noted, and written by one `rewrite()` in the end. */
  noteNetwork(rules: NetworkRules): void {
    this.#networks.set(rules.key, rules);
  }

  noteElements(owner: string, elements: readonly Element[]): void {
    if (elements.length > 0) this.#elements.set(owner, elements);
  }

  /** After restore: the table as noted, or none on a host without networks. */
  settle(): void {
    if (this.#networks.size > 0 || this.#sections.size > 0) this.rewrite();
    else this.removeTable();
  }

  /** The whole table as it must be. */
  text(): string {
    const options = this.#proxyPort === undefined ? {} : { proxyPort: this.#proxyPort };
    return wholeTableText(
      this.#networks.values(),
      [...this.#elements.values()].flat(),
      options,
      this.#sections.values(),
    );
  }

  /** Replaces the kernel's table by ours, in one transaction. */
  rewrite(): void {
    this.#run(this.text());
    this.#written = true;
  }

  /** Takes the table off the host. */
  removeTable(): void {
    this.#run(`add table inet ${tableName}\ndelete table inet ${tableName}`);
    this.#written = false;
  }

  get networkCount(): number {
    return this.#networks.size;
  }

  #change<V>(map: Map<string, V>, key: string, value: V | undefined, commands: string): void {
    const before = map.get(key);
    setOrDelete(map, key, value);
    try {
      if (this.#written && this.#tryRun(commands)) return;
      this.rewrite();
    } catch (error) {
      setOrDelete(map, key, before);
      throw new PluginError('NET_FIREWALL', `the packet filter refused a change: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #tryRun(commands: string): boolean {
    try {
      this.#run(commands);
      return true;
    } catch (error) {
      // Most likely the table is not what we left: somebody flushed or edited it a moment ago.
      this.#log.warn({ err: error }, 'the table inet cleat did not take a change; writing it whole');
      return false;
    }
  }

  #run(commands: string): void {
    this.#filter.run(commands);
    this.#afterOwnChange();
  }
}

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
