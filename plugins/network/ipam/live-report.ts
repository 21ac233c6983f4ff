/**
 * What somebody who knows says is in use: an engine about all its networks, our network drivers about theirs. The IPAM
 * compares its allocations with it (reconcile.ts).
 */
export interface LiveReport {
  /** `engine:/run/docker.sock`, `drivers`; a later report of the same source replaces the earlier one. */
  readonly source: string;
  /** When the source began to look, in milliseconds since 1970: what was allocated later may be missing in it. */
  readonly takenAt: number;
  readonly networks: readonly LiveNetwork[];
}

export interface LiveNetwork {
  readonly networkId: string;
  /** Engines know it, drivers do not. */
  readonly networkName?: string;
  readonly pools: readonly LivePool[];
  /** Bare IPs of its endpoints. */
  readonly addresses: readonly LiveAddress[];
  /** Whether the network's IPAM driver is said to be this one: only then is a pool that has no record taken in. */
  readonly ours: boolean;
}

export interface LivePool {
  /** CIDR. */
  readonly pool: string;
  /** CIDR, `--ip-range`. */
  readonly subPool?: string;
  readonly gateway?: string;
  /** Bare IPs of `--aux-address`; absent where the source does not know them. */
  readonly auxiliary?: readonly string[];
  /** `--ipam-opt`. */
  readonly options?: Readonly<Record<string, string>>;
}

export interface LiveAddress {
  readonly address: string;
  /** The container's name. */
  readonly container?: string;
}
