/**
 * The kinds of links and what is particular to each: IFLA_INFO_KIND and IFLA_INFO_DATA, <linux/if_link.h>. Where a link is
 * built on another one (macvlan, ipvlan, VLAN, VXLAN), that one is `parent` of the link itself.
 */
import { macBytes, macText } from './address-bytes.ts';
import { bool, type Field, type FieldTable, flag, ip, oneOf, u8, u16, u16be, u32 } from './attributes.ts';
import { listAttributes } from './message.ts';

export interface BridgeOptions {
  /** In hundredths of a second, as the kernel counts. */
  readonly forwardDelay?: number;
  readonly helloTime?: number;
  readonly maxAge?: number;
  readonly ageingTime?: number;
  readonly stp?: boolean;
  readonly priority?: number;
  readonly vlanFiltering?: boolean;
  readonly vlanDefaultPvid?: number;
  readonly groupForwardMask?: number;
  /** Whether the host itself gets all groups: 0 never, 1 when it is told so, 2 always. */
  readonly multicastRouter?: number;
  readonly multicastSnooping?: boolean;
  readonly multicastQuerier?: boolean;
  /** Whether bridged frames pass the host's iptables (br_netfilter). */
  readonly nfCallIptables?: boolean;
  readonly nfCallIp6tables?: boolean;
}

export interface MacvlanOptions {
  readonly mode?: 'private' | 'vepa' | 'bridge' | 'passthru' | 'source';
  /** 1: no promiscuous mode on the parent (passthru). */
  readonly flags?: number;
  /** Mode `source`: the only senders that it hears. Replaces the list. */
  readonly sourceMacs?: readonly string[];
  /** Broadcast and multicast frames that may wait for delivery. */
  readonly broadcastQueueLength?: number;
}

export interface IpvlanOptions {
  readonly mode?: 'l2' | 'l3' | 'l3s';
  readonly flag?: 'bridge' | 'private' | 'vepa';
}

export interface VlanOptions {
  readonly id: number;
  readonly protocol?: '802.1Q' | '802.1ad';
}

export interface VxlanOptions {
  /** VNI, 0 to 16777215. */
  readonly id: number;
  /** Multicast group, or the one unicast peer. */
  readonly group?: string;
  /** Source address of the tunnel. */
  readonly local?: string;
  /** Destination port; 4789 is IANA's, and the kernel's own default is 8472. */
  readonly port?: number;
  readonly ttl?: number;
  readonly tos?: number;
  readonly learning?: boolean;
  /** Seconds. */
  readonly ageing?: number;
  /** Most FDB entries. */
  readonly limit?: number;
  /** Answers ARP and ND from the neighbour table. */
  readonly proxy?: boolean;
  readonly rsc?: boolean;
  readonly l2miss?: boolean;
  readonly l3miss?: boolean;
  readonly udpChecksum?: boolean;
  readonly udpZeroChecksum6Tx?: boolean;
  readonly udpZeroChecksum6Rx?: boolean;
  /** Group based policy: carries the packet mark. */
  readonly gbp?: boolean;
  readonly df?: 'unset' | 'set' | 'inherit';
}

export interface LinkKinds {
  readonly bridge: BridgeOptions;
  readonly macvlan: MacvlanOptions;
  readonly ipvlan: IpvlanOptions;
  readonly vlan: VlanOptions;
  readonly vxlan: VxlanOptions;
  readonly dummy: object;
  readonly wireguard: object;
}

export type LinkKind = keyof LinkKinds;

/** IFLA_MACVLAN_MACADDR_MODE (3) with MACVLAN_MACADDR_SET, and the list IFLA_MACVLAN_MACADDR_DATA (5) of _MACADDR (4). */
const sourceMacs: Field<readonly string[]> = {
  write: (writer, macs) => {
    writer.attributeU32(3, 3);
    writer.nest(5, () => {
      for (const mac of macs) writer.attribute(4, macBytes(mac));
    });
  },
  read: (found) => {
    const list = found.get(5);
    return list && listAttributes(list).map(([, bytes]) => macText(bytes));
  },
};

export const linkKindFields: { readonly [K in LinkKind]: FieldTable<LinkKinds[K]> } = {
  bridge: {
    forwardDelay: u32(1),
    helloTime: u32(2),
    maxAge: u32(3),
    ageingTime: u32(4),
    stp: bool32(5),
    priority: u16(6),
    vlanFiltering: bool(7),
    groupForwardMask: u16(9),
    multicastRouter: u8(22),
    multicastSnooping: bool(23),
    multicastQuerier: bool(25),
    nfCallIptables: bool(36),
    nfCallIp6tables: bool(37),
    vlanDefaultPvid: u16(39),
  },
  macvlan: {
    mode: oneOf(u32(1), { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 }),
    flags: u16(2),
    sourceMacs,
    broadcastQueueLength: u32(7),
  },
  ipvlan: {
    mode: oneOf(u16(1), { l2: 0, l3: 1, l3s: 2 }),
    flag: oneOf(u16(2), { bridge: 0, private: 1, vepa: 2 }),
  },
  vlan: {
    id: u16(1),
    protocol: oneOf(u16be(5), { '802.1Q': 0x8100, '802.1ad': 0x88a8 }),
  },
  vxlan: {
    id: u32(1),
    group: ip(2, 16),
    local: ip(4, 17),
    ttl: u8(5),
    tos: u8(6),
    learning: bool(7),
    ageing: u32(8),
    limit: u32(9),
    proxy: bool(11),
    rsc: bool(12),
    l2miss: bool(13),
    l3miss: bool(14),
    port: u16be(15),
    udpChecksum: bool(18),
    udpZeroChecksum6Tx: bool(19),
    udpZeroChecksum6Rx: bool(20),
    gbp: flag(23),
    df: oneOf(u8(29), { unset: 0, set: 1, inherit: 2 }),
  },
  dummy: {},
  wireguard: {},
};

export function isLinkKind(kind: string): kind is LinkKind {
  return Object.hasOwn(linkKindFields, kind);
}

/** IFLA_BR_STP_STATE is a whole number where every other switch is a byte. */
function bool32(type: number): Field<boolean> {
  const number = u32(type);
  return {
    write: (writer, value) => number.write(writer, value ? 1 : 0),
    read: (found) => {
      const value = number.read(found);
      return value === undefined ? undefined : value !== 0;
    },
  };
}
