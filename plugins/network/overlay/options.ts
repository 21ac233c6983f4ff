/** The options of cleat-overlay beside those of cleat-bridge, and what follows from them. Pure. */
import { createHash } from 'node:crypto';
import { PluginError } from '../../sdk/errors.ts';
import {
  choice,
  flag,
  integer,
  list,
  type OptionSchema,
  type OptionValues,
  parseOptions,
  text,
} from '../../sdk/index.ts';

export const driverName = 'cleat-overlay';

const names = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
  expected: 'a name of up to 63 letters, digits and _ . -, the same on every host',
};

/** VXLAN network identifiers have 24 bits (RFC 7348 §5). */
const largestVni = 0xffffff;

export const overlaySchema = {
  name: text('cleat.network', { ...names }),
  vni: integer('cleat.vni', { min: 1, max: largestVni }),
  peers: list('cleat.peers', { item: 'ip', expected: 'IP addresses or host names with "," between them' }),
  /** How many equal shares the subnets are cut into; more than there are hosts leaves room for later ones. */
  shares: integer('cleat.shares', { min: 1, max: 65_536 }),
  // 4789 is IANA's number for VXLAN.
  port: integer('cleat.port', { min: 1, max: 65_535, otherwise: 4789 }),
  underlay: text('cleat.underlay'),
  /** One place gives the addresses of all hosts: a swarm's manager. Set by AllocateNetwork, not by people. */
  allocated: flag('cleat.allocated', { otherwise: false }),
  encrypted: flag('encrypted', { otherwise: false }),
  encryption: choice('cleat.encryption', ['none', 'wireguard']),
  direct: choice('cleat.direct', ['on', 'off'], { otherwise: 'off' }),
} satisfies OptionSchema;

/** Defaults for every network, from the configuration. */
interface Configured extends Pick<OverlayOptions, 'peers' | 'shares'> {
  readonly etcd?: object;
}

export interface OverlayOptions {
  /** What the network is called among the hosts. */
  readonly name: string;
  readonly vni: number;
  /** Empty where the hosts know each other by the store. */
  readonly peers: readonly string[];
  readonly store: boolean;
  /** Equal parts of each subnet, one for each peer; 0 where the store says whose an address is. */
  readonly shares: number;
  readonly port: number;
  /** The interface by which this host reaches the others; left out: found. */
  readonly underlay?: string;
  /** Addresses are unique because one place gives them: hosts have no parts of the subnet. */
  readonly allocated: boolean;
  /** Only by WireGuard between the hosts. */
  readonly encrypted: boolean;
  /** Routed, without VXLAN, to hosts on the same segment. */
  readonly direct: boolean;
}

/** Throws PROTO_OPTION. */
export function readOverlayOptions(
  given: Readonly<Record<string, string>>,
  configured: Configured = { peers: [], shares: 1 },
) {
  const known = new Set(Object.values(overlaySchema).flatMap((option) => option.names));
  const own = Object.entries(given).filter(([name]) => known.has(name));
  return settle(parseOptions(overlaySchema, Object.fromEntries(own), { driver: driverName }), configured);
}

function settle(options: OptionValues<typeof overlaySchema>, configured: Configured): OverlayOptions {
  if (options.encrypted && options.encryption === 'none') {
    throw new PluginError(
      'PROTO_OPTION',
      'cleat-overlay: "encrypted" and "cleat.encryption=none" contradict each other',
      {
        hint: 'leave one of them away',
      },
    );
  }
  const name = options.name ?? (options.vni === undefined ? undefined : `vni-${options.vni}`);
  if (name === undefined) {
    throw new PluginError('PROTO_OPTION', 'cleat-overlay: a network needs a name that is the same on every host', {
      hint: 'give -o cleat.network=NAME, or -o cleat.vni=NUMBER',
    });
  }
  const peers = options.peers.length > 0 ? options.peers : configured.peers;
  const store = peers.length === 0 && configured.etcd !== undefined;
  if (store && options.shares !== undefined) {
    throw new PluginError(
      'PROTO_OPTION',
      'cleat-overlay: cleat.shares goes with cleat.peers, and this host has a store',
      {
        hint: 'give "shares" in the configuration, the same on every host',
      },
    );
  }
  if (peers.length === 0 && !store) {
    throw new PluginError('PROTO_OPTION', `cleat-overlay: nobody is named as a host of the network ${name}`, {
      hint: 'give -o cleat.peers=ADDRESS,ADDRESS…, the same list on every host, or "peers" or "etcd" in the configuration',
    });
  }
  if (new Set(peers).size < peers.length || new Set(peers.map((peer) => peer.includes(':'))).size > 1) {
    throw new PluginError(
      'PROTO_OPTION',
      `cleat-overlay: peers ${peers.join(', ')} are not all different or of two families`,
    );
  }
  const encrypted = options.encrypted || options.encryption === 'wireguard';
  if (encrypted && options.direct === 'on') {
    throw new PluginError('PROTO_OPTION', 'cleat-overlay: cleat.direct and encrypted exclude each other', {
      hint: 'what goes directly goes in clear: leave one of them away',
    });
  }
  const shares = store || options.allocated ? 0 : Math.max(options.shares ?? configured.shares, peers.length);
  return {
    name,
    vni: options.vni ?? vniOf(name),
    peers,
    store,
    shares,
    port: options.port,
    ...(options.underlay !== undefined && { underlay: options.underlay }),
    allocated: options.allocated,
    encrypted,
    direct: options.direct === 'on',
  };
}

/** The same on every host. The upper half: the lower numbers are those that people and Docker's swarm (from 4096 on) choose. */
export function vniOf(name: string): number {
  return (largestVni + 1) / 2 + (createHash('sha256').update(name).digest().readUInt32BE() % ((largestVni + 1) / 2));
}
