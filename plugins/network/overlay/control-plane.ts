/**
 * How hosts tell each other what they have. The driver says what is here and asks what is elsewhere; who carries it is behind
 * this interface: the daemons themselves (exchange/), or etcd (etcd/).
 */

import type { Cidr } from '../address/cidr.ts';

/** One container of the network, as its own host tells of it. */
export interface SharedEndpoint {
  readonly id: string;
  /** Bare IPs. */
  readonly addresses: readonly string[];
  readonly mac: string;
  /** What it is called; empty while its engine has not told or it is out of service. */
  readonly names: readonly string[];
}

/** One host's part of a network. */
export interface SharedNetwork {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  /** Address of the host on the underlay, as in the list of peers. */
  readonly host: string;
  readonly pools: readonly string[];
  readonly gateways: readonly string[];
  readonly shares: number;
  /** What else the host tells of itself as part of this network (a public key, groups joined): a text for each name. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly endpoints: readonly SharedEndpoint[];
}

export type NetworkChange =
  | { readonly kind: 'put'; readonly endpoint: SharedEndpoint }
  | { readonly kind: 'remove'; readonly endpointId: string }
  /** Replaces them all. */
  | { readonly kind: 'attributes'; readonly attributes: Readonly<Record<string, string>> };

/** Another host's part, as last heard. */
export interface RemotePart {
  /** Who says so: unique, and the same after a restart. */
  readonly node: string;
  /** What the host calls itself. */
  readonly hostName: string;
  readonly network: SharedNetwork;
  /** CIDRs that are the host's to give; absent: its share by the order of the peers. */
  readonly ranges?: readonly string[];
}

export interface PeerStatus {
  readonly peer: string;
  readonly hostName: string;
  /** What we tell it: connected, or why not. */
  readonly state: string;
  readonly rttMs: number | undefined;
  /** Since something was heard from it; undefined: never. */
  readonly heardMs: number | undefined;
}

export interface StoreStatus {
  /** `connected`, or what is wrong. */
  readonly state: string;
  readonly endpoint: string;
  readonly endpoints: readonly string[];
  readonly version: string;
  readonly rttMs: number | undefined;
  readonly revision: number | undefined;
  /** How often it was connected to, since this daemon began. */
  readonly sessions: number;
  /** Changes that it told of, and records written or deleted. */
  readonly events: number;
  readonly writes: number;
}

export interface ControlPlane {
  /** This host's part of a network, whole; `peers` are the hosts that may know. */
  announce(network: SharedNetwork, peers: readonly string[]): void;
  change(networkName: string, change: NetworkChange): void;
  withdraw(networkName: string): void;
  /** What the others have of it, as far as their word still counts; of two that use one address, the one heard later is later. */
  remoteParts(networkName: string): RemotePart[];
  /** Whether everybody who may have the network has spoken since this daemon began, or had its time. */
  knowsAll(networkName: string): boolean;
  peers(): PeerStatus[];
  /** Makes sure that all hosts mean the same network. Throws NET_OVERLAY_DIFFERS and NET_OVERLAY_STORE. */
  define(network: SharedNetwork): Promise<void>;
  /** Blocks of the subnet that this host has claimed; none where the order of the peers says whose an address is. */
  held(networkName: string, pool: string): readonly Cidr[];
  /** Claims the block with the address. Throws NET_OVERLAY_SHARE and NET_OVERLAY_STORE. */
  claim(networkName: string, pool: string, address: string): Promise<void>;
  close(): Promise<void>;
}

/** Pure. */
export function applyChange(network: SharedNetwork, change: NetworkChange): SharedNetwork {
  if (change.kind === 'attributes') return { ...network, attributes: change.attributes };
  const id = change.kind === 'put' ? change.endpoint.id : change.endpointId;
  const others = network.endpoints.filter((endpoint) => endpoint.id !== id);
  return { ...network, endpoints: change.kind === 'put' ? [...others, change.endpoint] : others };
}
