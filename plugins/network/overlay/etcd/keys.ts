/**
 * Where what is in etcd, below the prefix:
 *
 *     networks/NAME/definition             what all hosts must agree on; written by the first, gone with the last
 *     networks/NAME/pools/POOL             into how many blocks a subnet is cut
 *     networks/NAME/blocks/BLOCK           whose the block of addresses is        (lease of the host's blocks: long)
 *     networks/NAME/hosts/NODE             a host's part of the network           (lease of the host: short)
 *     networks/NAME/endpoints/NODE/ID      one container                          (the same lease)
 *     vnis/VNI                             which network has the VNI
 *
 * A CIDR as part of a key has `_` for its slash. Pure.
 */

export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  network(name: string): string {
    return `${this.#prefix}networks/${name}/`;
  }

  /** The name of the network that a key belongs to. */
  networkOf(key: string): string | undefined {
    const start = `${this.#prefix}networks/`;
    return key.startsWith(start) ? key.slice(start.length).split('/')[0] : undefined;
  }

  definition(name: string): string {
    return `${this.network(name)}definition`;
  }

  pools(name: string): string {
    return `${this.network(name)}pools/`;
  }

  pool(name: string, pool: string): string {
    return `${this.pools(name)}${pool.replace('/', '_')}`;
  }

  blocks(name: string): string {
    return `${this.network(name)}blocks/`;
  }

  block(name: string, block: string): string {
    return `${this.blocks(name)}${block.replace('/', '_')}`;
  }

  hosts(name: string): string {
    return `${this.network(name)}hosts/`;
  }

  host(name: string, node: string): string {
    return `${this.hosts(name)}${node}`;
  }

  endpoints(name: string, node: string): string {
    return `${this.network(name)}endpoints/${node}/`;
  }

  endpoint(name: string, node: string, id: string): string {
    return `${this.endpoints(name, node)}${id}`;
  }

  vni(vni: number): string {
    return `${this.#prefix}vnis/${vni}`;
  }
}

/** What a key below a network's prefix is. */
export type NetworkKey =
  | { readonly kind: 'host'; readonly node: string }
  | { readonly kind: 'endpoint'; readonly node: string; readonly id: string }
  | { readonly kind: 'block'; readonly block: string };

/** `rest`: the key without the network's prefix. Undefined for what hosts do not follow. */
export function readKey(rest: string): NetworkKey | undefined {
  const [kind, first, second, more] = rest.split('/');
  if (first === undefined || first === '' || more !== undefined) return undefined;
  if (kind === 'endpoints' && second) return { kind: 'endpoint', node: first, id: second };
  if (second !== undefined) return undefined;
  if (kind === 'hosts') return { kind: 'host', node: first };
  return kind === 'blocks' ? { kind: 'block', block: first.replace('_', '/') } : undefined;
}

export function keyBytes(key: string): Uint8Array {
  return Buffer.from(key);
}

/** The first key that does not begin with the prefix (etcd's range_end). */
export function prefixEnd(prefix: string): Uint8Array {
  const end = Buffer.from(prefix);
  // Prefixes end with a slash, so there is no carry.
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return end;
}
