/**
 * Who wants which multicast group, bridge-mdb(8): a bridge's table of groups and ports, and that of a VXLAN of groups and other
 * hosts (kernel 6.4). RTM_*MDB, <linux/if_bridge.h>.
 */
import { AF_BRIDGE, AF_INET } from '../syscall.ts';
import { ipBytes, ipFamily, ipText } from './address-bytes.ts';
import {
  listAttributes,
  type MessageWriter,
  NetlinkFormatError,
  NLM_F_APPEND,
  NLM_F_CREATE,
  readAttributes,
} from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

export const RTM_NEWMDB = 84;
export const RTM_DELMDB = 85;
const RTM_GETMDB = 86;
const MDBA_MDB = 1;
const MDBA_MDB_ENTRY = 1;
const MDBA_MDB_ENTRY_INFO = 1;
const MDBA_SET_ENTRY = 1;
const MDBA_SET_ENTRY_ATTRS = 2;
const MDBA_MDB_EATTR_DST = 6;
const MDBE_ATTR_DST = 5;
const MDB_PERMANENT = 1;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
/** struct br_port_msg: family:8, 3 unused, ifindex:32 */
const portMessageSize = 8;
/** struct br_mdb_entry: ifindex:32 state:8 flags:8 vid:16, 16 of address, proto:16, 2 unused */
const entrySize = 28;

export interface GroupEntry {
  /** Index of the bridge, or of the VXLAN whose table it is in. */
  readonly table: number;
  /** Index of the port that wants the group; the bridge itself when the host does. In a VXLAN's table the VXLAN. */
  readonly port: number;
  readonly group: string;
  /** Stays until it is deleted; others were learned and end by themselves. */
  readonly permanent: boolean;
  /** VXLAN: address of the other VTEP. */
  readonly destination?: string;
}

export type NewGroupEntry = Omit<GroupEntry, 'permanent'>;

/** Twice is the same, or fails with EEXIST. EOPNOTSUPP from a VXLAN of a kernel before 6.4. */
export function addGroupEntry(entry: NewGroupEntry): Request {
  // A group of a VXLAN has any number of destinations; a port has a group once.
  const flags = NLM_F_CREATE | (entry.destination === undefined ? 0 : NLM_F_APPEND);
  return entryRequest('RTM_NEWMDB', RTM_NEWMDB, flags, entry);
}

/** Fails with ENOENT or EINVAL when there is none. */
export function deleteGroupEntry(entry: NewGroupEntry): Request {
  return entryRequest('RTM_DELMDB', RTM_DELMDB, 0, entry);
}

function entryRequest(call: string, type: number, flags: number, entry: NewGroupEntry): Request {
  const { table, port, group, destination } = entry;
  const bytes = ipBytes(group);
  return {
    call,
    describe: () => `${group} port=${port}${destination ? ` dst=${destination}` : ''}`,
    type,
    flags,
    write: (writer) => {
      writeHeader(writer, table);
      const body = Buffer.alloc(entrySize);
      body.writeUInt32LE(port, 0);
      body.writeUInt8(MDB_PERMANENT, 4);
      body.set(bytes, 8);
      body.writeUInt16BE(ipFamily(bytes) === AF_INET ? ETH_P_IP : ETH_P_IPV6, 24);
      writer.attribute(MDBA_SET_ENTRY, body);
      if (destination !== undefined)
        writer.nest(MDBA_SET_ENTRY_ATTRS, () => writer.attribute(MDBE_ATTR_DST, ipBytes(destination)));
    },
  };
}

/** Of one bridge or VXLAN. */
export function listGroups(socket: NetlinkSocket, table: number): GroupEntry[] {
  // The kernel takes no filter.
  const answers = socket.dump({
    call: 'RTM_GETMDB',
    describe: () => `dump table=${table}`,
    type: RTM_GETMDB,
    flags: 0,
    write: (writer) => writeHeader(writer, 0),
  });
  return answers.flatMap(({ body }) => readGroups(body)).filter((entry) => entry.table === table);
}

/** Reads the body of RTM_NEWMDB or RTM_DELMDB. Groups of MAC addresses are left out. */
export function readGroups(body: Buffer): GroupEntry[] {
  if (body.length < portMessageSize) throw new NetlinkFormatError('RTM_NEWMDB without its header');
  const table = body.readUInt32LE(4);
  const all = readAttributes(body, portMessageSize).get(MDBA_MDB) ?? Buffer.alloc(0);
  return listAttributes(all)
    .filter(([type]) => type === MDBA_MDB_ENTRY)
    .flatMap(([, entry]) => listAttributes(entry))
    .filter(([type]) => type === MDBA_MDB_ENTRY_INFO)
    .flatMap(([, info]) => readEntry(table, info));
}

function readEntry(table: number, info: Buffer): GroupEntry[] {
  if (info.length < entrySize) throw new NetlinkFormatError('an entry of RTM_NEWMDB that is cut');
  const protocol = info.readUInt16BE(24);
  if (protocol !== ETH_P_IP && protocol !== ETH_P_IPV6) return [];
  const length = protocol === ETH_P_IP ? 4 : 16;
  const destination = readAttributes(info, entrySize).get(MDBA_MDB_EATTR_DST);
  return [
    {
      table,
      port: info.readUInt32LE(0),
      group: ipText(info.subarray(8, 8 + length)),
      permanent: info.readUInt8(4) === MDB_PERMANENT,
      ...(destination && { destination: ipText(destination) }),
    },
  ];
}

function writeHeader(writer: MessageWriter, table: number): void {
  writer.u8(AF_BRIDGE);
  writer.skip(3);
  writer.u32(table);
}
