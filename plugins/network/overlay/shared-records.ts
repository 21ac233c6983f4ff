/** What hosts tell of themselves, as it comes from outside: checked here once. */
import { findIp } from '../address/ip.ts';
import { findMac, isUnicastMac } from '../address/mac.ts';
import type { SharedEndpoint, SharedNetwork } from './control-plane.ts';

export class RecordError extends Error {}

type Json = Readonly<Record<string, unknown>>;

export function readNetwork(value: unknown): SharedNetwork {
  const given = object(value);
  return {
    name: text(given, 'name', 63),
    vni: count(given, 'vni'),
    port: count(given, 'port'),
    host: address(given['host']),
    pools: texts(given['pools'], 16),
    gateways: texts(given['gateways'], 16),
    shares: count(given, 'shares'),
    attributes: readAttributes(given['attributes']),
    endpoints: items(given['endpoints'], 65_536).map(readEndpoint),
  };
}

export function readEndpoint(value: unknown): SharedEndpoint {
  const given = object(value);
  const mac = findMac(text(given, 'mac', 17));
  if (mac === undefined || !isUnicastMac(mac)) throw new RecordError('an endpoint without a unicast MAC address');
  return {
    id: text(given, 'id', 64),
    addresses: items(given['addresses'], 16).map(address),
    mac,
    names: texts(given['names'], 64),
  };
}

/** Absent in what older versions say. */
export function readAttributes(value: unknown): Record<string, string> {
  const entries = Object.entries(object(value ?? {}));
  if (entries.length > 64) throw new RecordError('more than 64 attributes');
  return Object.fromEntries(
    entries.map(([name, one]) => {
      if (name.length > 64 || typeof one !== 'string' || one.length > 16_384)
        throw new RecordError('an attribute is no text or too long');
      return [name, one];
    }),
  );
}

export function object(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RecordError('no object');
  return value as Json;
}

export function items(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) throw new RecordError(`no list of up to ${most}`);
  return value;
}

function texts(value: unknown, most: number): string[] {
  return items(value, most).map((one) => {
    if (typeof one !== 'string' || one.length > 255) throw new RecordError('a text is missing or too long');
    return one;
  });
}

export function text(given: Json, name: string, most: number): string {
  const value = given[name];
  if (typeof value !== 'string' || value === '' || value.length > most) throw new RecordError(`no text "${name}"`);
  return value;
}

export function count(given: Json, name: string): number {
  const value = given[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new RecordError(`no number "${name}"`);
  return value;
}

export function address(value: unknown): string {
  if (typeof value !== 'string' || findIp(value) === undefined) throw new RecordError('no IP address');
  return value;
}
