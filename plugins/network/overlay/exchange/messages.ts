/** What daemons say to each other, and the check of what was said: everything from outside is read here once. */
import { findIp } from '../../address/ip.ts';
import { findMac, isUnicastMac } from '../../address/mac.ts';
import type { SharedEndpoint, SharedNetwork } from '../control-plane.ts';

export const protocolVersion = 1;

export type Message =
  | {
      readonly kind: 'hello';
      readonly version: number;
      readonly node: string;
      readonly hostName: string;
      /** The address that was dialled. */
      readonly to: string;
      /** Grows with each start of the daemon; `session` with each connection of one run. */
      readonly epoch: number;
      readonly session: number;
    }
  /** Everything that this host has; replaces whatever was said before. */
  | { readonly kind: 'state'; readonly networks: readonly SharedNetwork[] }
  | { readonly kind: 'network'; readonly network: SharedNetwork }
  | { readonly kind: 'withdraw'; readonly name: string }
  | { readonly kind: 'put'; readonly name: string; readonly endpoint: SharedEndpoint }
  | { readonly kind: 'remove'; readonly name: string; readonly endpointId: string }
  | { readonly kind: 'ping'; readonly at: number }
  | { readonly kind: 'pong'; readonly at: number };

export class MessageError extends Error {}

type Json = Readonly<Record<string, unknown>>;

/** Throws MessageError for what is none of the messages. Unknown fields are left out, for later versions. */
export function readMessage(value: unknown): Message {
  const given = object(value);
  switch (given['kind']) {
    case 'hello':
      return {
        kind: 'hello',
        version: count(given, 'version'),
        node: text(given, 'node', 64),
        hostName: text(given, 'hostName', 253),
        to: address(given['to']),
        epoch: count(given, 'epoch'),
        session: count(given, 'session'),
      };
    case 'state':
      return { kind: 'state', networks: items(given['networks'], 4096).map(readNetwork) };
    case 'network':
      return { kind: 'network', network: readNetwork(given['network']) };
    case 'withdraw':
      return { kind: 'withdraw', name: text(given, 'name', 63) };
    case 'put':
      return { kind: 'put', name: text(given, 'name', 63), endpoint: readEndpoint(given['endpoint']) };
    case 'remove':
      return { kind: 'remove', name: text(given, 'name', 63), endpointId: text(given, 'endpointId', 64) };
    case 'ping':
    case 'pong':
      return { kind: given['kind'], at: count(given, 'at') };
    default:
      throw new MessageError('a message of no known kind');
  }
}

function readNetwork(value: unknown): SharedNetwork {
  const given = object(value);
  return {
    name: text(given, 'name', 63),
    vni: count(given, 'vni'),
    port: count(given, 'port'),
    host: address(given['host']),
    pools: texts(given['pools'], 16),
    gateways: texts(given['gateways'], 16),
    shares: count(given, 'shares'),
    endpoints: items(given['endpoints'], 65_536).map(readEndpoint),
  };
}

function readEndpoint(value: unknown): SharedEndpoint {
  const given = object(value);
  const mac = findMac(text(given, 'mac', 17));
  if (mac === undefined || !isUnicastMac(mac)) throw new MessageError('an endpoint without a unicast MAC address');
  return {
    id: text(given, 'id', 64),
    addresses: items(given['addresses'], 16).map(address),
    mac,
    names: texts(given['names'], 64),
  };
}

function object(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new MessageError('no object');
  return value as Json;
}

function items(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) throw new MessageError(`no list of up to ${most}`);
  return value;
}

function texts(value: unknown, most: number): string[] {
  return items(value, most).map((one) => {
    if (typeof one !== 'string' || one.length > 255) throw new MessageError('a text is missing or too long');
    return one;
  });
}

function text(given: Json, name: string, most: number): string {
  const value = given[name];
  if (typeof value !== 'string' || value === '' || value.length > most) throw new MessageError(`no text "${name}"`);
  return value;
}

function count(given: Json, name: string): number {
  const value = given[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new MessageError(`no number "${name}"`);
  return value;
}

function address(value: unknown): string {
  if (typeof value !== 'string' || findIp(value) === undefined) throw new MessageError('no IP address');
  return value;
}
