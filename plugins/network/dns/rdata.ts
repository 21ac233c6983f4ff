/**
 * Record data of the types that a zone can hold: made from values, read from a network's options, shown as text.
 * Names inside are never compressed (RFC 3597 §4 forbids it for new types, and nobody misses it for the old).
 */
import { PluginError } from '../../sdk/errors.ts';
import { findIp, formatIp, type Ip, ipFromBytes, ipToBytes } from '../address/ip.ts';
import { nameToWire, readName } from './name.ts';
import { typeName, types } from './wire.ts';

export interface Srv {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** Type and data: what a user writes as `A 192.0.2.7`. */
export interface RecordData {
  readonly type: number;
  readonly rdata: Buffer;
}

export function addressData(ip: Ip): RecordData {
  return { type: ip.family === 4 ? types.A : types.AAAA, rdata: Buffer.from(ipToBytes(ip)) };
}

export function nameData(type: number, target: string): RecordData {
  return { type, rdata: nameToWire(target) };
}

/** RFC 2782. */
export function srvData({ priority, weight, port, target }: Srv): RecordData {
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(priority, 0);
  fixed.writeUInt16BE(weight, 2);
  fixed.writeUInt16BE(port, 4);
  return { type: types.SRV, rdata: Buffer.concat([fixed, nameToWire(target)]) };
}

/** Strings of up to 255 bytes (RFC 1035 §3.3.14); a longer text is cut into several, which readers join again. */
export function txtData(text: string): RecordData {
  const bytes = Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  return { type: types.TXT, rdata: Buffer.concat(parts) };
}

/** RFC 8482 §4.2: the answer to ANY. */
export const anyData: RecordData = {
  type: types.HINFO,
  rdata: Buffer.concat([Buffer.from([7]), Buffer.from('RFC8482'), Buffer.from([0])]),
};

/** `minimum` is how long a "no" may be remembered (RFC 2308 §4), in seconds. */
export function soaData(zone: string, minimum: number): RecordData {
  const numbers = Buffer.alloc(20);
  numbers.writeUInt32BE(1, 0);
  numbers.writeUInt32BE(3600, 4);
  numbers.writeUInt32BE(600, 8);
  numbers.writeUInt32BE(86400, 12);
  numbers.writeUInt32BE(minimum, 16);
  const below = (label: string) => nameToWire(zone === '' ? `${label}.invalid` : `${label}.${zone}`);
  return { type: types.SOA, rdata: Buffer.concat([below('ns'), below('nobody'), numbers]) };
}

/**
 * One record as it stands in an option: `A 192.0.2.7`, `AAAA …`, `CNAME name`, `TXT text`, `SRV priority weight port target`,
 * or just an address. Throws DNS_RECORD_INVALID.
 */
export function parseRecord(text: string, where: string): RecordData {
  const trimmed = text.trim();
  const bare = findIp(trimmed);
  if (bare !== undefined) return addressData(bare);
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(trimmed) ?? [];
  const refuse = (why: string): never => {
    throw new PluginError('DNS_RECORD_INVALID', `${where}: "${trimmed}" ${why}`, {
      hint: 'write an address, or one of: A 192.0.2.7 | AAAA 2001:db8::7 | CNAME name | TXT text | SRV 0 0 80 name',
    });
  };
  switch (word.toUpperCase()) {
    case 'A':
    case 'AAAA': {
      const ip = findIp(rest);
      const family = word.toUpperCase() === 'A' ? 4 : 6;
      return ip?.family === family ? addressData(ip) : refuse(`has no IPv${family} address`);
    }
    case 'CNAME':
      return /^\S+$/.test(rest) ? nameData(types.CNAME, rest.toLowerCase()) : refuse('has no name behind CNAME');
    case 'TXT':
      return txtData(/^"(.*)"$/s.exec(rest)?.[1] ?? rest);
    case 'SRV': {
      const [priority, weight, port, target, ...more] = rest.split(/\s+/);
      const numbers = [priority, weight, port].map((part) => (/^\d{1,5}$/.test(part ?? '') ? Number(part) : 65536));
      if (target === undefined || more.length > 0 || numbers.some((number) => number > 65535)) {
        return refuse('is not "SRV priority weight port target"');
      }
      return srvData({ priority: numbers[0]!, weight: numbers[1]!, port: numbers[2]!, target: target.toLowerCase() });
    }
    default:
      return refuse('is of no type that can be given here');
  }
}

/** As `dig` prints it; unknown types in the form of RFC 3597 §5. Undefined when the data is broken. */
export function formatRdata(type: number, message: Uint8Array, offset: number, length: number): string | undefined {
  const end = offset + length;
  const data = Buffer.from(message.buffer, message.byteOffset + offset, length);
  switch (type) {
    case types.A:
      return length === 4 ? formatIp(ipFromBytes(data)) : undefined;
    case types.AAAA:
      return length === 16 ? formatIp(ipFromBytes(data)) : undefined;
    case types.CNAME:
    case types.PTR:
    case types.NS: {
      const read = readName(message, offset);
      return read?.next === end ? `${read.name}.` : undefined;
    }
    case types.MX: {
      const read = length > 2 ? readName(message, offset + 2) : undefined;
      return read?.next === end ? `${data.readUInt16BE(0)} ${read.name}.` : undefined;
    }
    case types.SRV: {
      const read = length > 6 ? readName(message, offset + 6) : undefined;
      if (read?.next !== end) return undefined;
      return `${data.readUInt16BE(0)} ${data.readUInt16BE(2)} ${data.readUInt16BE(4)} ${read.name}.`;
    }
    case types.TXT: {
      const strings: string[] = [];
      for (let at = 0; at < length; ) {
        const size = data[at]!;
        if (at + 1 + size > length) return undefined;
        strings.push(JSON.stringify(data.toString('utf8', at + 1, at + 1 + size)));
        at += 1 + size;
      }
      return strings.join(' ');
    }
    case types.SOA: {
      const primary = readName(message, offset);
      const mailbox = primary && readName(message, primary.next);
      if (mailbox === undefined || mailbox.next + 20 !== end) return undefined;
      const numbers = [0, 4, 8, 12, 16].map((at) => data.readUInt32BE(mailbox.next - offset + at));
      return `${primary?.name}. ${mailbox.name}. ${numbers.join(' ')}`;
    }
    default:
      return `\\# ${length} ${data.toString('hex')}`.trimEnd();
  }
}

/** `A 192.0.2.7`: for tables and logs. */
export function formatRecord(record: RecordData): string {
  return `${typeName(record.type)} ${formatRdata(record.type, record.rdata, 0, record.rdata.length) ?? '(broken)'}`;
}
