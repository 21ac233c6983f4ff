/** `Plugin.Activate`: which kinds of driver stand behind one name. */
import type { Plugin } from '../plugin.ts';
import type { WireObject, WireReader } from './wire.ts';

export const ACTIVATE = 'Plugin.Activate';

/** Kinds of driver, with the name each has on the wire. */
export const subsystems = {
  network: 'NetworkDriver',
  ipam: 'IpamDriver',
  volume: 'VolumeDriver',
  log: 'LogDriver',
} as const;

export type DriverKind = keyof typeof subsystems;

export const driverKinds = Object.keys(subsystems) as readonly DriverKind[];

export function encodeActivateReply(plugin: Plugin): WireObject {
  return { Implements: driverKinds.filter((kind) => plugin[kind] !== undefined).map((kind) => subsystems[kind]) };
}

/** Names that are no driver kind of ours (`authz`) are left out, as the engine ignores them. */
export function decodeActivateReply(body: WireReader): readonly DriverKind[] {
  const offered = new Set(body.texts('Implements'));
  return driverKinds.filter((kind) => offered.has(subsystems[kind]));
}
