/** DHCPv6 messages as bytes: RFC 8415 §8 (header) and §21 (options). Pure. */
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../../address/ip.ts';

/** RFC 8415 §7.3. */
const types = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
} as const;
export type Dhcp6Type = keyof typeof types;

/** Section of RFC 8415 behind each, or another RFC. */
const option = {
  clientId: 1, // 21.2
  serverId: 2, // 21.3
  iaNa: 3, // 21.4
  iaAddress: 5, // 21.6
  wanted: 6, // 21.7
  preference: 7, // 21.8
  elapsed: 8, // 21.9
  status: 13, // 21.13
  rapidCommit: 14, // 21.14
  nameServers: 23, // RFC 3646 §3
  fqdn: 39, // RFC 4704 §4
} as const;

/** RFC 8415 §21.13. */
export const status = { success: 0, noAddress: 2, noBinding: 3, notOnLink: 4, useMulticast: 5 } as const;

const forever = 0xffffffff;
const headerBytes = 4;

export interface Dhcp6Request {
  readonly type: Exclude<Dhcp6Type, 'advertise' | 'reply' | 'confirm'>;
  /** 24 bits, the same in all messages of one exchange. */
  readonly transaction: number;
  /** DUIDs. */
  readonly clientId: Uint8Array;
  readonly serverId?: Uint8Array;
  readonly iaid: number;
  /** The address of the association: had, or hoped for. */
  readonly address?: string;
  readonly rapidCommit?: boolean;
  readonly hostName?: string;
  readonly elapsedMs: number;
}

export interface Dhcp6Address {
  readonly address: string;
  /** Seconds; undefined: for ever. */
  readonly preferredSeconds: number | undefined;
  readonly validSeconds: number | undefined;
}

export interface Dhcp6Reply {
  readonly type: Dhcp6Type;
  readonly transaction: number;
  /** DUIDs as hexadecimal digits. */
  readonly clientId: string | undefined;
  readonly serverId: string | undefined;
  /** Of the message, or of the association where that one failed. */
  readonly status: number;
  readonly message: string | undefined;
  readonly rapidCommit: boolean;
  readonly nameServers: readonly string[];
  /** Associations by IAID. */
  readonly associations: ReadonlyMap<number, Dhcp6Association>;
}

export interface Dhcp6Association {
  readonly status: number;
  readonly message: string | undefined;
  /** T1 and T2 in seconds; 0: left to the client. */
  readonly renewSeconds: number;
  readonly rebindSeconds: number;
  readonly addresses: readonly Dhcp6Address[];
}

export function encodeDhcp6(request: Dhcp6Request): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(request.transaction & 0xffffff, 0);
  header[0] = types[request.type];
  const association = Buffer.alloc(12);
  association.writeUInt32BE(request.iaid, 0);
  const asks = request.type !== 'release' && request.type !== 'decline';
  const parts = [header, encodeOption(option.clientId, request.clientId)];
  if (request.serverId !== undefined) parts.push(encodeOption(option.serverId, request.serverId));
  const address = request.address === undefined ? [] : [encodeAddress(request.address)];
  parts.push(encodeOption(option.iaNa, Buffer.concat([association, ...address])));
  parts.push(encodeOption(option.elapsed, uint16(Math.min(Math.floor(request.elapsedMs / 10), 0xffff))));
  if (asks) parts.push(encodeOption(option.wanted, uint16(option.nameServers)));
  if (request.rapidCommit) parts.push(encodeOption(option.rapidCommit, new Uint8Array()));
  if (asks && request.hostName !== undefined) parts.push(encodeOption(option.fqdn, encodeFqdn(request.hostName)));
  return Buffer.concat(parts);
}

/** undefined for what is no DHCPv6 message of a server, or is cut. Never throws, whatever the bytes. */
export function decodeDhcp6(message: Buffer): Dhcp6Reply | undefined {
  if (message.length < headerBytes) return undefined;
  const number = message[0];
  const type = (['advertise', 'reply'] as const).find((word) => types[word] === number);
  const options = readOptions(message.subarray(headerBytes));
  if (type === undefined || options === undefined) return undefined;
  const associations = new Map<number, Dhcp6Association>();
  for (const value of options.get(option.iaNa) ?? []) {
    const association = readAssociation(value);
    if (association === undefined) return undefined;
    associations.set(value.readUInt32BE(0), association);
  }
  return {
    type,
    transaction: message.readUInt32BE(0) & 0xffffff,
    clientId: first(options, option.clientId)?.toString('hex'),
    serverId: first(options, option.serverId)?.toString('hex'),
    ...readStatus(options),
    rapidCommit: options.has(option.rapidCommit),
    nameServers: addressList(first(options, option.nameServers)),
    associations,
  };
}

type Options = ReadonlyMap<number, readonly Buffer[]>;

/** undefined when an option reaches over the end. */
function readOptions(bytes: Buffer): Options | undefined {
  const options = new Map<number, Buffer[]>();
  let at = 0;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) return undefined;
    const end = at + 4 + bytes.readUInt16BE(at + 2);
    if (end > bytes.length) return undefined;
    const code = bytes.readUInt16BE(at);
    options.set(code, [...(options.get(code) ?? []), bytes.subarray(at + 4, end)]);
    at = end;
  }
  return options;
}

function first(options: Options, code: number): Buffer | undefined {
  return options.get(code)?.[0];
}

/** §21.4: IAID, T1, T2, options. */
function readAssociation(value: Buffer): Dhcp6Association | undefined {
  const options = value.length < 12 ? undefined : readOptions(value.subarray(12));
  if (options === undefined) return undefined;
  const addresses = (options.get(option.iaAddress) ?? []).map(readAddress);
  if (addresses.some((address) => address === undefined)) return undefined;
  return {
    ...readStatus(options),
    renewSeconds: value.readUInt32BE(4),
    rebindSeconds: value.readUInt32BE(8),
    addresses: addresses.filter((address) => address !== undefined && address.validSeconds !== 0) as Dhcp6Address[],
  };
}

/** §21.6: address, preferred and valid lifetime, options; with a status other than success it is none. */
function readAddress(value: Buffer): Dhcp6Address | undefined {
  const options = value.length < 24 ? undefined : readOptions(value.subarray(24));
  if (options === undefined) return undefined;
  const lifetime = (seconds: number) => (seconds === forever ? undefined : seconds);
  const refused = readStatus(options).status !== status.success;
  return {
    address: formatIp(ipFromBytes(value.subarray(0, 16))),
    preferredSeconds: lifetime(value.readUInt32BE(16)),
    validSeconds: refused ? 0 : lifetime(value.readUInt32BE(20)),
  };
}

/** §21.13: success where the option is missing. */
function readStatus(options: Options): { readonly status: number; readonly message: string | undefined } {
  const value = first(options, option.status);
  if (value === undefined || value.length < 2) return { status: status.success, message: undefined };
  return { status: value.readUInt16BE(0), message: value.toString('utf8', 2) || undefined };
}

function addressList(value: Buffer | undefined): string[] {
  const list: string[] = [];
  for (let at = 0; value !== undefined && at + 16 <= value.length; at += 16)
    list.push(formatIp(ipFromBytes(value.subarray(at, at + 16))));
  return list;
}

function encodeOption(code: number, value: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(code, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}

/** Lifetimes are the server's to say: §18.2.1 wants them 0 in a hint. */
function encodeAddress(address: string): Buffer {
  return encodeOption(option.iaAddress, Buffer.concat([ipToBytes(parseIp(address)), Buffer.alloc(8)]));
}

/** RFC 4704 §4.2: no flags (the server may do as it likes), and the name as one label without the final nought: a partial name. */
function encodeFqdn(hostName: string): Buffer {
  const label = Buffer.from(hostName).subarray(0, 63);
  return Buffer.concat([Buffer.from([0, label.length]), label]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value, 0);
  return bytes;
}
