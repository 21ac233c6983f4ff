/**
 * What the peers told us, each on its own connection. Said things count while the connection lives and for the lease after it
 * was last heard: a daemon that is restarted, or a partition that heals, changes nothing here.
 */
import type { RemotePart, SharedEndpoint, SharedNetwork } from '../control-plane.ts';
import type { Message } from './messages.ts';

type Hello = Extract<Message, { kind: 'hello' }>;

interface HeardNetwork {
  network: Omit<SharedNetwork, 'endpoints'>;
  readonly endpoints: Map<string, SharedEndpoint>;
  /** As it follows from these; made anew when one of them has changed. */
  part?: RemotePart | undefined;
}

interface Source {
  hello: Hello;
  heardAt: number;
  readonly networks: Map<string, HeardNetwork>;
  /** Network → the address that the host has, or had, there. */
  readonly spoken: Map<string, string>;
}

export interface Heard {
  readonly node: string;
  readonly hostName: string;
  readonly heardMs: number;
}

export class Inbox {
  readonly #sources = new Map<string, Source>();
  readonly #now: () => number;

  /** `now`: milliseconds that only go forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** false: a younger connection of the same host has spoken already, so this one is a leftover. */
  open(hello: Hello): boolean {
    const key = keyOf(hello);
    const source = this.#sources.get(key);
    if (source && isOlder(hello, source.hello)) return false;
    if (source) source.hello = hello;
    else this.#sources.set(key, { hello, heardAt: this.#now(), networks: new Map(), spoken: new Map() });
    return true;
  }

  /** Names of the networks that are other than before; undefined when the connection is not the host's current one. */
  take(hello: Hello, message: Message): readonly string[] | undefined {
    const source = this.#sources.get(keyOf(hello));
    if (!source || source.hello !== hello) return undefined;
    source.heardAt = this.#now();
    const { networks, spoken } = source;
    switch (message.kind) {
      case 'state': {
        const touched = new Set([...networks.keys(), ...message.networks.map(({ name }) => name)]);
        networks.clear();
        for (const network of message.networks) networks.set(network.name, heardNetwork(network));
        for (const { name, host } of message.networks) spoken.set(name, host);
        return [...touched];
      }
      case 'network':
        networks.set(message.network.name, heardNetwork(message.network));
        spoken.set(message.network.name, message.network.host);
        return [message.network.name];
      case 'withdraw':
        return networks.delete(message.name) ? [message.name] : [];
      case 'put': {
        const heard = networks.get(message.name);
        heard?.endpoints.set(message.endpoint.id, message.endpoint);
        if (heard) heard.part = undefined;
        return [message.name];
      }
      case 'attributes': {
        const heard = networks.get(message.name);
        if (!heard) return [];
        heard.network = { ...heard.network, attributes: message.attributes };
        heard.part = undefined;
        return [message.name];
      }
      case 'remove': {
        const heard = networks.get(message.name);
        if (!heard?.endpoints.delete(message.endpointId)) return [];
        heard.part = undefined;
        return [message.name];
      }
      default:
        return [];
    }
  }

  /** Forgets who has not been heard for the lease; names of the networks that lost something. */
  expire(leaseMs: number): readonly string[] {
    const lost = new Set<string>();
    for (const [key, { heardAt, networks }] of this.#sources) {
      if (this.#now() - heardAt <= leaseMs) continue;
      for (const name of networks.keys()) lost.add(name);
      this.#sources.delete(key);
    }
    return [...lost];
  }

  /** A host of which nothing has changed has the same object as before. */
  parts(networkName: string): RemotePart[] {
    return [...this.#sources.values()].flatMap(({ hello: { node, hostName }, networks }) => {
      const heard = networks.get(networkName);
      if (!heard) return [];
      const network = () => ({ ...heard.network, endpoints: [...heard.endpoints.values()] });
      heard.part ??= { node, hostName, network: network() };
      return [heard.part];
    });
  }

  /** Addresses of the hosts that have told of the network, though they may have left it since. */
  spoken(networkName: string): ReadonlySet<string> {
    return new Set([...this.#sources.values()].flatMap(({ spoken }) => spoken.get(networkName) ?? []));
  }

  /** By the hosts' addresses on the underlay. */
  heard(): ReadonlyMap<string, Heard> {
    const out = new Map<string, Heard>();
    for (const { hello, heardAt, networks } of this.#sources.values()) {
      const one = { node: hello.node, hostName: hello.hostName, heardMs: Math.round(this.#now() - heardAt) };
      for (const { network } of networks.values()) out.set(network.host, one);
    }
    return out;
  }
}

function keyOf({ node, to }: Hello): string {
  return `${node} ${to}`;
}

function isOlder(one: Hello, other: Hello): boolean {
  return one.epoch < other.epoch || (one.epoch === other.epoch && one.session < other.session);
}

function heardNetwork({ endpoints, ...network }: SharedNetwork): HeardNetwork {
  return { network, endpoints: new Map(endpoints.map((endpoint) => [endpoint.id, endpoint])) };
}
