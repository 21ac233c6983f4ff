/**
 * Links, ip-link(8): requests to create, change and delete them, and what the kernel shows of them. Requests are values; a
 * RouteSocket runs them. All numbers of links are interface indexes of the socket's namespace.
 */
import { isKernelError } from '../errors.ts';
import { AF_INET6, AF_UNSPEC } from '../syscall.ts';
import { type Field, type FieldTable, mac, readFields, text, u32, writeFields } from './attributes.ts';
import { type BridgePort, bridgePortFields } from './bridge-port.ts';
import { isLinkKind, type LinkKind, type LinkKinds, linkKindFields } from './link-kinds.ts';
import {
  type MessageWriter,
  NetlinkFormatError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  readAttributes,
  readText,
} from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

// <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if.h>
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_LINK_NETNSID = 37;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFF_UP = 1;
const IFF_PROMISC = 0x100;
const ifinfoSize = 16;

/** A link by index or by name. */
export type LinkRef = number | string;

/** What can be set when a link is made and later; what is left out stays as it is. */
export interface LinkSettings {
  readonly name?: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Index of the bridge (or bond) that the link becomes a port of; 0 takes it out. */
  readonly master?: number;
  /** Free text, up to 255 bytes. */
  readonly alias?: string;
  readonly txQueueLength?: number;
  /** Links of one group can be deleted by one request. */
  readonly group?: number;
  /** Descriptor of the namespace that the link moves to. */
  readonly netnsFd?: number;
  /** How the link gets IPv6 link-local addresses; `none` must be set while the link is down. Never shown. */
  readonly linkLocal?: LinkLocal;
  readonly up?: boolean;
  readonly promiscuous?: boolean;
}

export type LinkLocal = 'eui64' | 'none' | 'stable-privacy' | 'random';

type SettingFields = Omit<LinkSettings, 'up' | 'promiscuous'>;

/** IN6_ADDR_GEN_MODE_*, <linux/if_link.h> */
const linkLocalNumbers: Readonly<Record<LinkLocal, number>> = { eui64: 0, none: 1, 'stable-privacy': 2, random: 3 };

const linkLocalField: Field<LinkLocal> = {
  write: (writer, value) =>
    writer.nest(IFLA_AF_SPEC, () =>
      writer.nest(AF_INET6, () => writer.attributeU8(IFLA_INET6_ADDR_GEN_MODE, linkLocalNumbers[value])),
    ),
  read: () => undefined,
};

const queueFields: FieldTable<{ queues?: number }> = {
  queues: {
    write: (writer, count) => {
      writer.attributeU32(IFLA_NUM_TX_QUEUES, count);
      writer.attributeU32(IFLA_NUM_RX_QUEUES, count);
    },
    read: () => undefined,
  },
};

const settingFields: FieldTable<SettingFields> = {
  mac: mac(1),
  name: text(3),
  mtu: u32(4),
  master: u32(IFLA_MASTER),
  txQueueLength: u32(13),
  alias: text(20),
  group: u32(IFLA_GROUP),
  netnsFd: u32(IFLA_NET_NS_FD),
  linkLocal: linkLocalField,
};

/** The kernel ignores an alias in the request that makes the link: set it by `changeLink`, in the same batch. */
export interface NewLinkSettings extends Omit<LinkSettings, 'alias'> {
  /**
   * Default: what the driver likes. A veth makes one for each processor and uses one: shutting the others waits for a grace
   * period of RCU at each end, so 1 is quicker.
   */
  readonly queues?: number;
}

export interface NewLink<K extends LinkKind = LinkKind> extends NewLinkSettings {
  readonly name: string;
  readonly kind: K;
  readonly options?: LinkKinds[K];
  /** Index of the link that a macvlan, ipvlan, VLAN or VXLAN is built on. */
  readonly parent?: number;
  /** Chosen by the kernel when left out. */
  readonly index?: number;
}

export interface NewVeth extends NewLinkSettings {
  readonly name: string;
  readonly index?: number;
  /**
   * The other end; with `netnsFd` it is born in that namespace. Its index can be chosen only together with ours. It cannot be
   * up from the start (the kernel would open it before it has a peer: ENOTCONN).
   */
  readonly peer: Omit<NewLinkSettings, 'up'> & { readonly name: string; readonly index?: number };
}

/** A link as the kernel shows it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Empty for physical links and `lo`. */
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly promiscuous: boolean;
  /** There is something at the other end of the wire: IFF_LOWER_UP. */
  readonly carrier: boolean;
  /** RFC 2863, as ip-link(8) shows it: 'up', 'down', 'lowerlayerdown' … */
  readonly operState: string;
  readonly loopback: boolean;
  /** Index of the bridge it is a port of; 0 for none. */
  readonly master: number;
  /** Index of the parent, or of the other end of a veth; 0 for none. In another namespace when `parentNetnsId` is set. */
  readonly parent: number;
  readonly parentNetnsId: number | undefined;
  readonly alias: string;
  readonly group: number;
  readonly txQueueLength: number;
  /** What is particular to the kind, where this module knows the kind. */
  readonly options: Partial<LinkKinds[LinkKind]>;
  /** When its master is a bridge. */
  readonly bridgePort: BridgePort | undefined;
}

function writeNew(writer: MessageWriter, settings: NewLinkSettings): void {
  writeFields<SettingFields>(writer, settingFields, settings);
  writeFields<{ queues?: number }>(writer, queueFields, settings);
}

export function createLink<K extends LinkKind>(link: NewLink<K>): Request {
  return {
    call: 'RTM_NEWLINK',
    describe: () => `${link.kind} ${link.name}${link.parent ? ` parent=${link.parent}` : ''}${settingsText(link)}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => {
      writeHeader(writer, link.index ?? 0, link);
      writeNew(writer, link);
      if (link.parent !== undefined) writer.attributeU32(IFLA_LINK, link.parent);
      writer.nest(IFLA_LINKINFO, () => {
        writer.attributeText(IFLA_INFO_KIND, link.kind);
        writer.nest(IFLA_INFO_DATA, () => {
          if (link.options) writeFields(writer, linkKindFields[link.kind] as FieldTable<LinkKinds[K]>, link.options);
        });
      });
    },
  };
}

export function createVeth(link: NewVeth): Request {
  const { peer } = link;
  return {
    call: 'RTM_NEWLINK',
    describe: () => `veth ${link.name} peer ${peer.name}${settingsText(link)}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    write: (writer) => {
      writeHeader(writer, link.index ?? 0, link);
      writeNew(writer, link);
      writer.nest(IFLA_LINKINFO, () => {
        writer.attributeText(IFLA_INFO_KIND, 'veth');
        writer.nest(IFLA_INFO_DATA, () =>
          writer.nest(VETH_INFO_PEER, () => {
            writeHeader(writer, peer.index ?? 0, peer);
            writeNew(writer, peer);
          }),
        );
      });
    },
  };
}

/**
 * Changes an existing link, and with `port` its settings as a port of its bridge; a `name` renames it. Everything or nothing
 * does not hold: settings are applied one by one.
 */
export function changeLink(ref: LinkRef, settings: LinkSettings, port?: BridgePort): Request {
  // The name in the request names the link when there is no index, so a rename needs the index.
  if (typeof ref === 'string' && settings.name !== undefined) throw new TypeError('a link is renamed by its index');
  return {
    call: 'RTM_NEWLINK',
    describe: () => `${ref}${settingsText(settings)}`,
    type: RTM_NEWLINK,
    flags: 0,
    write: (writer) => {
      writeHeader(writer, typeof ref === 'number' ? ref : 0, settings);
      const named = typeof ref === 'string' ? { ...settings, name: ref } : settings;
      writeFields<SettingFields>(writer, settingFields, named);
      if (port) writePort(writer, port);
    },
  };
}

/** Changes what is particular to the kind: a bridge's options, a VXLAN's. */
export function changeLinkOptions<K extends LinkKind>(ref: LinkRef, kind: K, options: Partial<LinkKinds[K]>): Request {
  return {
    call: 'RTM_NEWLINK',
    describe: () => `${ref} ${kind} ${JSON.stringify(options)}`,
    type: RTM_NEWLINK,
    flags: 0,
    write: (writer) => {
      writeRef(writer, ref);
      writer.nest(IFLA_LINKINFO, () => {
        writer.attributeText(IFLA_INFO_KIND, kind);
        writer.nest(IFLA_INFO_DATA, () => {
          writeFields(writer, linkKindFields[kind] as FieldTable<Partial<LinkKinds[K]>>, options);
        });
      });
    },
  };
}

/** Changes a port of a bridge. The link must have its master already; both fit into one batch. */
export function changeBridgePort(ref: LinkRef, port: BridgePort): Request {
  return {
    call: 'RTM_NEWLINK',
    describe: () => `${ref} bridge port ${JSON.stringify(port)}`,
    type: RTM_NEWLINK,
    flags: 0,
    write: (writer) => {
      writeRef(writer, ref);
      writePort(writer, port);
    },
  };
}

function writePort(writer: MessageWriter, port: BridgePort): void {
  writer.nest(IFLA_LINKINFO, () => {
    writer.attributeText(IFLA_INFO_SLAVE_KIND, 'bridge');
    writer.nest(IFLA_INFO_SLAVE_DATA, () => writeFields(writer, bridgePortFields, port));
  });
}

/** Fails with ENODEV when there is none. A veth's deletion waits 18 ms in the kernel: see `applyOnThread`. */
export function deleteLink(ref: LinkRef): Request {
  return {
    call: 'RTM_DELLINK',
    describe: () => String(ref),
    type: RTM_DELLINK,
    flags: 0,
    write: (writer) => writeRef(writer, ref),
  };
}

/** All links of a group at once, in little more time than one. Fails with ENODEV when the group is empty; never group 0. */
export function deleteLinkGroup(group: number): Request {
  if (group === 0) throw new TypeError('every link is in group 0 unless it was put elsewhere');
  return {
    call: 'RTM_DELLINK',
    describe: () => `group ${group}`,
    type: RTM_DELLINK,
    flags: 0,
    write: (writer) => {
      writer.skip(ifinfoSize);
      writer.attributeU32(IFLA_GROUP, group);
    },
  };
}

/** Throws ENODEV when there is none. */
export function getLink(socket: NetlinkSocket, ref: LinkRef): Link {
  return readLink(
    socket.get({
      call: 'RTM_GETLINK',
      describe: () => String(ref),
      type: RTM_GETLINK,
      flags: 0,
      write: (writer) => {
        writeRef(writer, ref);
        writer.attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      },
    }),
  );
}

export function findLink(socket: NetlinkSocket, ref: LinkRef): Link | undefined {
  try {
    return getLink(socket, ref);
  } catch (error) {
    if (isKernelError(error, 'ENODEV')) return undefined;
    throw error;
  }
}

export interface LinkFilter {
  readonly kind?: string;
  /** Index of the bridge. */
  readonly master?: number;
}

export function listLinks(socket: NetlinkSocket, filter: LinkFilter = {}): Link[] {
  const answers = socket.dump({
    call: 'RTM_GETLINK',
    describe: () => `dump ${JSON.stringify(filter)}`,
    type: RTM_GETLINK,
    flags: 0,
    write: (writer) => {
      writer.skip(ifinfoSize);
      writer.attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      if (filter.master !== undefined) writer.attributeU32(IFLA_MASTER, filter.master);
      const { kind } = filter;
      if (kind !== undefined) writer.nest(IFLA_LINKINFO, () => writer.attributeText(IFLA_INFO_KIND, kind));
    },
  });
  // Kernels before 4.20 ignore the filter.
  return answers
    .map(({ body }) => readLink(body))
    .filter((link) => (filter.kind ?? link.kind) === link.kind && (filter.master ?? link.master) === link.master);
}

const operStates = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];

/** Reads the body of RTM_NEWLINK or RTM_DELLINK. */
export function readLink(body: Buffer): Link {
  if (body.length < ifinfoSize) throw new NetlinkFormatError('RTM_NEWLINK without its header');
  const flags = body.readUInt32LE(8);
  const found = readAttributes(body, ifinfoSize);
  const settings = readFields(settingFields, found);
  const info = readAttributes(found.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const kind = readText(info.get(IFLA_INFO_KIND) ?? Buffer.alloc(0));
  const data = info.get(IFLA_INFO_DATA);
  const isPort = readText(info.get(IFLA_INFO_SLAVE_KIND) ?? Buffer.alloc(0)) === 'bridge';
  const port = info.get(IFLA_INFO_SLAVE_DATA);
  return {
    index: body.readInt32LE(4),
    name: settings.name ?? '',
    kind,
    mac: settings.mac ?? '',
    mtu: settings.mtu ?? 0,
    up: (flags & IFF_UP) !== 0,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    carrier: (flags & 0x10000) !== 0,
    operState: operStates[found.get(IFLA_OPERSTATE)?.[0] ?? 0] ?? 'unknown',
    loopback: (flags & 8) !== 0,
    master: settings.master ?? 0,
    parent: found.get(IFLA_LINK)?.readUInt32LE() ?? 0,
    parentNetnsId: found.get(IFLA_LINK_NETNSID)?.readInt32LE(),
    alias: settings.alias ?? '',
    group: settings.group ?? 0,
    txQueueLength: settings.txQueueLength ?? 0,
    options:
      data && isLinkKind(kind) ? readFields(linkKindFields[kind] as FieldTable<object>, readAttributes(data)) : {},
    bridgePort: isPort && port ? readFields(bridgePortFields, readAttributes(port)) : undefined,
  };
}

function writeRef(writer: MessageWriter, ref: LinkRef): void {
  writeHeader(writer, typeof ref === 'number' ? ref : 0, {});
  if (typeof ref === 'string') settingFields.name.write(writer, ref);
}

/** struct ifinfomsg */
function writeHeader(writer: MessageWriter, index: number, { up, promiscuous }: LinkSettings): void {
  const change = (up === undefined ? 0 : IFF_UP) | (promiscuous === undefined ? 0 : IFF_PROMISC);
  writer.u16(AF_UNSPEC);
  writer.u16(0);
  writer.i32(index);
  writer.u32((up ? IFF_UP : 0) | (promiscuous ? IFF_PROMISC : 0));
  writer.u32(change);
}

function settingsText(settings: LinkSettings): string {
  const words = (['mac', 'mtu', 'master', 'up', 'netnsFd', 'group'] as const)
    .filter((name) => settings[name] !== undefined)
    .map((name) => `${name}=${settings[name]}`);
  return words.length > 0 ? ` ${words.join(' ')}` : '';
}
