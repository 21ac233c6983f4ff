/** The body of `POST /networks/create`. */
import { badRequest } from '../api/api-error.ts';
import { asObject } from '../container/decode-config.ts';
import type { Engine } from '../engine.ts';
import type { NetworkSpec } from './create.ts';
import type { IpamConfigEntry } from './record.ts';

type Body = Readonly<Record<string, unknown>>;

/** Throws 400 for a field of the wrong kind, for swarm's fields, and 404 for a ConfigFrom that is not there. */
export function decodeNetworkSpec(engine: Engine, value: unknown): NetworkSpec {
  const body = asObject(value, 'body');
  if (body['Ingress'] === true)
    throw badRequest('ingress networks belong to swarm mode, which this engine does not have');
  if (text(body, 'Scope') !== '' && text(body, 'Scope') !== 'local')
    throw badRequest(`scope "${text(body, 'Scope')}" is not supported: networks of this engine have scope local`);
  const configFrom = text(asObject(body['ConfigFrom'] ?? {}, 'ConfigFrom'), 'Network');
  const configOnly = flag(body, 'ConfigOnly', false);
  const ipam = asObject(body['IPAM'] ?? {}, 'IPAM');
  const source = configFrom === '' ? undefined : engine.networks.get(configFrom);
  if (source !== undefined && !source.configOnly) throw badRequest(`${configFrom} is not a configuration only network`);
  const driver = text(body, 'Driver');
  const ipamDriver = text(ipam, 'Driver');
  return {
    name: text(body, 'Name'),
    // `bridge` is what clients send when the user named no driver.
    driver: driver === '' || driver === 'bridge' ? engine.config.defaultNetworkDriver : driver,
    enableIPv4: flag(body, 'EnableIPv4', true),
    enableIPv6: source?.enableIPv6 ?? flag(body, 'EnableIPv6', false),
    internal: source?.internal ?? flag(body, 'Internal', false),
    attachable: flag(body, 'Attachable', false),
    configOnly,
    configFrom,
    ipamDriver:
      source?.ipamDriver ??
      (ipamDriver === '' || ipamDriver === 'default' ? engine.config.defaultIpamDriver : ipamDriver),
    ipamOptions: source?.ipamOptions ?? textMap(ipam, 'Options'),
    ipamConfig: source?.ipamConfig ?? ipamConfig(ipam['Config']),
    options: source?.options ?? textMap(body, 'Options'),
    labels: textMap(body, 'Labels'),
  };
}

function ipamConfig(value: unknown): IpamConfigEntry[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badRequest('invalid JSON: field IPAM.Config must be a list');
  return value.map((item) => {
    const entry = asObject(item, 'IPAM.Config');
    return {
      ...(text(entry, 'Subnet') ? { Subnet: text(entry, 'Subnet') } : {}),
      ...(text(entry, 'IPRange') ? { IPRange: text(entry, 'IPRange') } : {}),
      ...(text(entry, 'Gateway') ? { Gateway: text(entry, 'Gateway') } : {}),
      ...(entry['AuxiliaryAddresses'] ? { AuxiliaryAddresses: textMap(entry, 'AuxiliaryAddresses') } : {}),
    };
  });
}

function text(body: Body, name: string): string {
  const value = body[name] ?? '';
  if (typeof value !== 'string') throw badRequest(`invalid JSON: field ${name} must be a string`);
  return value;
}

function flag(body: Body, name: string, otherwise: boolean): boolean {
  const value = body[name] ?? otherwise;
  if (typeof value !== 'boolean') throw badRequest(`invalid JSON: field ${name} must be a boolean`);
  return value;
}

function textMap(body: Body, name: string): Record<string, string> {
  const value = asObject(body[name] ?? {}, name);
  if (!Object.values(value).every((item) => typeof item === 'string'))
    throw badRequest(`invalid JSON: field ${name} must be an object of strings`);
  return value as Record<string, string>;
}
