/** DHCPv4 messages as bytes: RFC 2131 §2, options of RFC 2132. Pure. */
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../../address/ip.ts';
import { macToBytes, parseMac } from '../../address/mac.ts';

/** RFC 2132 §9.6. */
const types = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7 } as const;
export type DhcpType = keyof typeof types;

const cookie = 0x63825363;
const headerBytes = 236;
const broadcastFlag = 0x8000;
/** Servers may not answer with more than 576 bytes unless told (RFC 2131 §2). */
const maxMessageBytes = 1472;

/** RFC 2132 section numbers behind each. */
const option = {
  subnetMask: 1, // 3.3
  router: 3, // 3.5
  dns: 6, // 3.8
  hostName: 12, // 3.14
  domainName: 15, // 3.17
  mtu: 26, // 5.1
  requestedIp: 50, // 9.1
  leaseTime: 51, // 9.2
  overload: 52, // 9.3
  type: 53, // 9.6
  serverId: 54, // 9.7
  parameters: 55, // 9.8
  message: 56, // 9.9
  maxSize: 57, // 9.10
  renewal: 58, // 9.11
  rebinding: 59, // 9.12
  clientId: 61, // 9.14
} as const;
const pad = 0;
const end = 255;

export interface DhcpRequest {
  readonly type: 'discover' | 'request' | 'release' | 'decline';
  /** 32 bits, the same in all messages of one exchange. */
  readonly transaction: number;
  readonly mac: string;
  /** RFC 2132 §9.14: a type byte and the identifier. */
  readonly clientId: Uint8Array;
  /** Our own address; only in a release. */
  readonly ciaddr?: string;
  readonly requestedIp?: string;
  readonly serverId?: string;
  readonly hostName?: string;
}

export interface DhcpReply {
  readonly type: DhcpType;
  readonly transaction: number;
  readonly mac: string;
  /** The address offered or given. */
  readonly address: string;
  readonly serverId: string | undefined;
  readonly subnetMask: string | undefined;
  readonly routers: readonly string[];
  readonly dns: readonly string[];
  readonly domainName: string | undefined;
  readonly mtu: number | undefined;
  /** Seconds; 0xffffffff is for ever. */
  readonly leaseSeconds: number | undefined;
  readonly renewalSeconds: number | undefined;
  readonly rebindingSeconds: number | undefined;
  /** Why not, in a NAK. */
  readonly message: string | undefined;
}

/** With the broadcast flag: the address is not ours yet, so nobody could send us anything else. */
export function encodeDhcp(request: DhcpRequest): Buffer {
  // RFC 2131 §4.4.1, table 5: neither a release nor a decline asks for anything.
  const asks = request.type === 'discover' || request.type === 'request';
  const header = Buffer.alloc(headerBytes + 4);
  header[0] = 1; // BOOTREQUEST
  header[1] = 1; // Ethernet
  header[2] = 6;
  header.writeUInt32BE(request.transaction, 4);
  header.writeUInt16BE(asks ? broadcastFlag : 0, 10);
  if (request.ciaddr !== undefined) header.set(ipToBytes(parseIp(request.ciaddr)), 12);
  header.set(macToBytes(parseMac(request.mac)), 28);
  header.writeUInt32BE(cookie, headerBytes);
  const parts = [
    header,
    encodeOption(option.type, [types[request.type]]),
    encodeOption(option.clientId, request.clientId),
    ...(request.requestedIp === undefined
      ? []
      : [encodeOption(option.requestedIp, ipToBytes(parseIp(request.requestedIp)))]),
    ...(request.serverId === undefined ? [] : [encodeOption(option.serverId, ipToBytes(parseIp(request.serverId)))]),
    ...(request.hostName === undefined || !asks
      ? []
      : [encodeOption(option.hostName, Buffer.from(request.hostName).subarray(0, 63))]),
    ...(asks ? [encodeOption(option.maxSize, [maxMessageBytes >> 8, maxMessageBytes & 0xff])] : []),
    ...(asks
      ? [
          encodeOption(option.parameters, [
            option.subnetMask,
            option.router,
            option.dns,
            option.domainName,
            option.mtu,
            option.leaseTime,
            option.renewal,
            option.rebinding,
          ]),
        ]
      : []),
    Buffer.from([end]),
  ];
  const message = Buffer.concat(parts);
  // RFC 1542 §2.1: at least 300 bytes, or some relays drop it.
  return message.length >= 300 ? message : Buffer.concat([message, Buffer.alloc(300 - message.length)]);
}

/** undefined for what is no DHCP reply. Never throws, whatever the bytes. */
export function decodeDhcp(message: Buffer): DhcpReply | undefined {
  if (
    message.length < headerBytes + 4 ||
    message[0] !== 2 ||
    message[2] !== 6 ||
    message.readUInt32BE(headerBytes) !== cookie
  )
    return undefined;
  const options = readOptions(message);
  if (options === undefined) return undefined;
  const number = options.get(option.type)?.[0];
  const type = (Object.keys(types) as DhcpType[]).find((word) => types[word] === number);
  if (type === undefined) return undefined;
  const addresses = (code: number) => ipList(options.get(code));
  return {
    type,
    transaction: message.readUInt32BE(4),
    mac: [...message.subarray(28, 34)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    address: formatIp(ipFromBytes(message.subarray(16, 20))),
    serverId: addresses(option.serverId)[0],
    subnetMask: addresses(option.subnetMask)[0],
    routers: addresses(option.router),
    dns: addresses(option.dns),
    domainName: options.get(option.domainName)?.toString('latin1'),
    mtu: readUint(options.get(option.mtu), 2),
    leaseSeconds: readUint(options.get(option.leaseTime), 4),
    renewalSeconds: readUint(options.get(option.renewal), 4),
    rebindingSeconds: readUint(options.get(option.rebinding), 4),
    message: options.get(option.message)?.toString('latin1'),
  };
}

function encodeOption(code: number, value: ArrayLike<number>): Buffer {
  return Buffer.from([code, value.length, ...Array.from(value)]);
}

/** Of the options field, and of `file` and `sname` where option 52 says so (RFC 2131 §4.1). Parts of one code are joined (RFC 3396). */
function readOptions(message: Buffer): Map<number, Buffer> | undefined {
  const options = new Map<number, Buffer>();
  if (!readField(message.subarray(headerBytes + 4), options)) return undefined;
  const overload = options.get(option.overload)?.[0] ?? 0;
  if ((overload & 1) !== 0 && !readField(message.subarray(108, 236), options)) return undefined;
  if ((overload & 2) !== 0 && !readField(message.subarray(44, 108), options)) return undefined;
  return options;
}

function readField(field: Buffer, into: Map<number, Buffer>): boolean {
  for (let at = 0; at < field.length; ) {
    const code = field[at++];
    if (code === end) return true;
    if (code === pad || code === undefined) continue;
    const length = field[at++];
    if (length === undefined || at + length > field.length) return false;
    const value = field.subarray(at, at + length);
    const earlier = into.get(code);
    into.set(code, earlier === undefined ? value : Buffer.concat([earlier, value]));
    at += length;
  }
  return true;
}

function ipList(value: Buffer | undefined): string[] {
  const list: string[] = [];
  for (let at = 0; value !== undefined && at + 4 <= value.length; at += 4)
    list.push(formatIp(ipFromBytes(value.subarray(at, at + 4))));
  return list;
}

function readUint(value: Buffer | undefined, bytes: number): number | undefined {
  return value?.length === bytes ? value.readUIntBE(0, bytes) : undefined;
}
