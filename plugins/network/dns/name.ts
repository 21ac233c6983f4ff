/**
 * Domain names: text, wire form and back. Text has no final dot, `.` inside a label is `\.`, bytes that do not print
 * are `\DDD` (RFC 1035 §5.1). Inside the server every owner name is lower-case text; the root is the empty text.
 */
import { PluginError } from '../../sdk/errors.ts';
import { findIp, type Ip, ipFromBytes, ipToBytes } from '../address/ip.ts';
import { maxLabelLength, maxNameLength } from './wire.ts';

/** A name in a message: its lower-case text and where the bytes after it begin. */
export interface ReadName {
  readonly name: string;
  readonly next: number;
}

/** Throws DNS_NAME_INVALID. */
export function nameToWire(name: string): Buffer {
  const wire = findWire(name);
  if (wire === undefined) {
    throw new PluginError('DNS_NAME_INVALID', `"${name}" is no domain name`, {
      hint: 'labels have 1 to 63 bytes and a name at most 255',
    });
  }
  return wire;
}

/** The wire form, or undefined when the text is no name. A final dot is allowed. */
export function findWire(name: string): Buffer | undefined {
  const text = name.endsWith('.') && !name.endsWith('\\.') ? name.slice(0, -1) : name;
  if (text === '') return Buffer.from([0]);
  const out: number[] = [];
  let lengthAt = 0;
  out.push(0);
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (out.length - 1 === lengthAt) return undefined;
      lengthAt = out.length;
      out.push(0);
      continue;
    }
    if (code === 0x5c) {
      const digits = text.slice(i + 1, i + 4);
      if (/^\d{3}$/.test(digits)) {
        code = Number(digits);
        i += 3;
      } else {
        code = text.charCodeAt(++i);
      }
    }
    if (!(code <= 0xff)) return undefined;
    out.push(code);
    const length = out.length - 1 - lengthAt;
    if (length > maxLabelLength) return undefined;
    out[lengthAt] = length;
  }
  if (out.length - 1 === lengthAt) return undefined;
  out.push(0);
  return out.length <= maxNameLength ? Buffer.from(out) : undefined;
}

/** Lower case of ASCII letters alone (RFC 4343 §3). */
export function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

/** Bytes that stand for themselves in text. */
function isPlain(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
}

function labelText(message: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) {
    const byte = lowerCase(message[i] ?? 0);
    if (isPlain(byte)) text += String.fromCharCode(byte);
    else if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

/**
 * Reads a name that may be compressed. undefined when it is broken: cut off, too long, or with a pointer that does not
 * go backwards (RFC 1035 §4.1.4: a prior occurrence), which also ends every loop.
 */
export function readName(message: Uint8Array, offset: number): ReadName | undefined {
  let at = offset;
  let next = -1;
  let limit = offset;
  let length = 1;
  let name = '';
  for (;;) {
    const size = message[at];
    if (size === undefined) return undefined;
    if (size === 0) return { name, next: next < 0 ? at + 1 : next };
    if ((size & 0xc0) === 0xc0) {
      const low = message[at + 1];
      if (low === undefined) return undefined;
      const target = ((size & 0x3f) << 8) | low;
      if (next < 0) next = at + 2;
      if (target >= limit) return undefined;
      limit = target;
      at = target;
      continue;
    }
    if (size > maxLabelLength) return undefined;
    const end = at + 1 + size;
    length += size + 1;
    if (end > message.length || length > maxNameLength) return undefined;
    name += (name === '' ? '' : '.') + labelText(message, at + 1, end);
    at = end;
  }
}

/** Where the bytes after a name begin; -1 when it is broken: the same walk as readName, without the text. */
export function skipName(message: Uint8Array, offset: number): number {
  let at = offset;
  let next = -1;
  let limit = offset;
  let length = 1;
  for (;;) {
    if (at >= message.length) return -1;
    const size = message[at]!;
    if (size === 0) return next < 0 ? at + 1 : next;
    if ((size & 0xc0) === 0xc0) {
      if (at + 1 >= message.length) return -1;
      const target = ((size & 0x3f) << 8) | message[at + 1]!;
      if (next < 0) next = at + 2;
      if (target >= limit) return -1;
      limit = target;
      at = target;
      continue;
    }
    if (size > maxLabelLength) return -1;
    at += 1 + size;
    length += size + 1;
    if (at > message.length || length > maxNameLength) return -1;
  }
}

/** The labels, from the leftmost to the one next to the root. */
export function splitLabels(name: string): string[] {
  if (name === '') return [];
  if (!name.includes('\\')) return name.split('.');
  const labels: string[] = [];
  let start = 0;
  for (let i = 0; i < name.length; i++) {
    if (name[i] === '\\') i++;
    else if (name[i] === '.') {
      labels.push(name.slice(start, i));
      start = i + 1;
    }
  }
  labels.push(name.slice(start));
  return labels;
}

/** `app.example` of `web.app.example`; the root of a single label; undefined for the root. */
export function parentName(name: string): string | undefined {
  if (name === '') return undefined;
  for (let i = 0; i < name.length; i++) {
    if (name[i] === '\\') i++;
    else if (name[i] === '.') return name.slice(i + 1);
  }
  return '';
}

/** The part before `.suffix`, or undefined when the name does not lie below the suffix. */
export function stripSuffix(name: string, suffix: string): string | undefined {
  const cut = name.length - suffix.length - 1;
  return cut > 0 && name[cut] === '.' && name[cut - 1] !== '\\' && name.endsWith(suffix)
    ? name.slice(0, cut)
    : undefined;
}

/** `7.2.0.192.in-addr.arpa` (RFC 1035 §3.5), nibbles under `ip6.arpa` (RFC 3596 §2.5). */
export function reverseName(ip: Ip): string {
  const bytes = ipToBytes(ip);
  if (ip.family === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 15]).reverse();
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`;
}

/** The address that a complete reverse name stands for. */
export function findReversedIp(name: string): Ip | undefined {
  const v4 = stripSuffix(name, 'in-addr.arpa');
  if (v4 !== undefined) {
    const ip = findIp(v4.split('.').reverse().join('.'));
    return ip?.family === 4 ? ip : undefined;
  }
  const v6 = stripSuffix(name, 'ip6.arpa');
  if (v6 === undefined || !/^[0-9a-f](\.[0-9a-f]){31}$/.test(v6)) return undefined;
  return ipFromBytes(Buffer.from(v6.split('.').reverse().join(''), 'hex'));
}
