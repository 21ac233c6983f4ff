/** What daemons say to each other, and the check of what was said: everything from outside is read here once. */
import type { SharedEndpoint, SharedNetwork } from '../control-plane.ts';
import {
  address,
  count,
  items,
  object,
  RecordError,
  readAttributes,
  readEndpoint,
  readNetwork,
  text,
} from '../shared-records.ts';

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
  | {
      readonly kind: 'attributes';
      readonly name: string;
      readonly attributes: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'ping'; readonly at: number }
  | { readonly kind: 'pong'; readonly at: number };

/** Throws RecordError for what is none of the messages. Unknown fields are left out, for later versions. */
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
    case 'attributes':
      return { kind: 'attributes', name: text(given, 'name', 63), attributes: readAttributes(given['attributes']) };
    case 'ping':
    case 'pong':
      return { kind: given['kind'], at: count(given, 'at') };
    default:
      throw new RecordError('a message of no known kind');
  }
}
