/** The daemon's own configuration: `volumed.json`. */
import { PluginError } from '../sdk/errors.ts';
import type { Scope } from '../sdk/network-plugin.ts';
import { findDurationMs } from '../sdk/units.ts';
import type { DriverName } from './backend.ts';

export const driverNames = ['cleat-local', 'cleat-nfs', 'cleat-tmpfs'] as const satisfies readonly DriverName[];

export interface VolumedConfig {
  /** `"drivers": ["cleat-local"]`; default all. */
  readonly drivers: readonly DriverName[];
  /** `"scope": {"cleat-nfs": "global"}`: one name space for the whole cluster; default local. */
  readonly scope: Readonly<Partial<Record<DriverName, Scope>>>;
  /** `"staleAfter": "120s"`: how long a hold from before a restart is believed while nothing uses the volume. */
  readonly staleAfterMs: number;
}

/** Docker waits 120 s for a mount, so a container that is being started shows itself by then. */
const defaultStaleAfterMs = 120_000;

export function readVolumedConfig(config: Readonly<Record<string, unknown>>): VolumedConfig {
  const { drivers = driverNames, scope = {}, staleAfter, ...unknown } = config;
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) throw refuse(stranger, 'is not known; known are drivers, scope, staleAfter');
  if (!isList(drivers) || !drivers.every(isDriverName))
    throw refuse('drivers', `must be a list of ${driverNames.join(', ')}`);
  if (!isScopes(scope)) throw refuse('scope', 'must be an object from driver name to "local" or "global"');
  return {
    drivers,
    scope,
    staleAfterMs: staleAfter === undefined ? defaultStaleAfterMs : readDuration('staleAfter', staleAfter),
  };
}

function readDuration(name: string, value: unknown): number {
  const found = typeof value === 'string' ? findDurationMs(value) : undefined;
  if (found === undefined || found < 0) throw refuse(name, 'must be a duration such as "120s"');
  return found;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function isDriverName(value: unknown): value is DriverName {
  return driverNames.some((name) => name === value);
}

function isScopes(value: unknown): value is Partial<Record<DriverName, Scope>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(([driver, scope]) => isDriverName(driver) && (scope === 'local' || scope === 'global'))
  );
}

function refuse(name: string, text: string): PluginError {
  return new PluginError('PROTO_OPTION', `configuration: "${name}" ${text}`);
}
