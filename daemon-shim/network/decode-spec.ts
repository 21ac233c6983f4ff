/** The body of `POST /networks/create`. */
import { ApiError, badRequest } from '../api/api-error.ts';
import { asObject, flagField, textField, textMapField } from '../api/fields.ts';
import type { Engine } from '../engine.ts';
import type { NetworkSpec } from './create.ts';
import type { IpamConfigEntry, NetworkRecord } from './record.ts';

/** Throws 400 for a field of the wrong kind, for swarm's fields, and 404 for a ConfigFrom that is not there. */
export function decodeNetworkSpec(engine: Engine, value: unknown): NetworkSpec {
  const body = asObject(value, 'body');
  if (body['Ingress'] === true) throw badRequest('Ingress network can only be global scope network');
  if (textField(body, 'Scope') !== '' && textField(body, 'Scope') !== 'local')
    throw new ApiError(
      503,
      `cannot create a ${textField(body, 'Scope')} scoped network when swarm is not active; this engine has none`,
    );
  const configFrom = textField(asObject(body['ConfigFrom'] ?? {}, 'ConfigFrom'), 'Network');
  const configOnly = flagField(body, 'ConfigOnly', false);
  const ipam = asObject(body['IPAM'] ?? {}, 'IPAM');
  const source = configFrom === '' ? undefined : configurationOf(engine, configFrom);
  const driver = textField(body, 'Driver');
  const ipamDriver = textField(ipam, 'Driver');
  const defaults = engine.config.defaultNetworkOptions[driver === '' ? 'bridge' : driver];
  return {
    name: textField(body, 'Name'),
    // `bridge` is what clients send when the user named no driver.
    driver: configOnly ? 'null' : driver === '' || driver === 'bridge' ? engine.config.defaultNetworkDriver : driver,
    enableIPv4: flagField(body, 'EnableIPv4', true),
    enableIPv6: source?.enableIPv6 ?? flagField(body, 'EnableIPv6', false),
    internal: source?.internal ?? flagField(body, 'Internal', false),
    attachable: flagField(body, 'Attachable', false),
    configOnly,
    configFrom,
    ipamDriver:
      source?.ipamDriver ??
      (ipamDriver === '' || ipamDriver === 'default' ? engine.config.defaultIpamDriver : ipamDriver),
    ipamOptions: source?.ipamOptions ?? textMapField(ipam, 'Options'),
    ipamConfig: source?.ipamConfig ?? ipamConfig(ipam['Config']),
    options: source?.options ?? { ...defaults, ...textMapField(body, 'Options') },
    labels: textMapField(body, 'Labels'),
  };
}

function configurationOf(engine: Engine, name: string): NetworkRecord {
  const source = engine.networks.find(name);
  if (source === undefined) throw badRequest(`configuration network "${name}" does not exist`);
  if (!source.configOnly) throw badRequest(`${name} is not a configuration only network`);
  return source;
}

function ipamConfig(value: unknown): IpamConfigEntry[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badRequest('invalid JSON: field IPAM.Config must be a list');
  return value.map((item) => {
    const entry = asObject(item, 'IPAM.Config');
    return {
      ...(textField(entry, 'Subnet') ? { Subnet: textField(entry, 'Subnet') } : {}),
      ...(textField(entry, 'IPRange') ? { IPRange: textField(entry, 'IPRange') } : {}),
      ...(textField(entry, 'Gateway') ? { Gateway: textField(entry, 'Gateway') } : {}),
      ...(entry['AuxiliaryAddresses'] ? { AuxiliaryAddresses: textMapField(entry, 'AuxiliaryAddresses') } : {}),
    };
  });
}
