/** Which networks a new container is on: its network mode, and the endpoints of the request's NetworkingConfig. */
import { badRequest } from '../api/api-error.ts';
import { asObject } from '../api/fields.ts';
import type { Engine } from '../engine.ts';
import { type NetworkRecord, predefinedNames } from '../network/record.ts';
import type { EndpointConfig, EndpointRecord, HostConfig } from './record.ts';

/** `default` is the default network; `container:NAME` is kept by id, so that a rename changes nothing. */
export function resolveNetworkMode(engine: Engine, hostConfig: HostConfig): HostConfig {
  const mode = hostConfig.NetworkMode;
  if (mode === '' || mode === 'default') return { ...hostConfig, NetworkMode: 'bridge' };
  if (!mode.startsWith('container:')) return hostConfig;
  if (mode === 'container:') throw badRequest('invalid network mode: invalid container format container:<name|id>');
  // One that does not exist is refused at the start, as Docker does.
  const name = mode.slice('container:'.length);
  return { ...hostConfig, NetworkMode: `container:${engine.containers.find(name)?.id ?? name}` };
}

/** By network name as the user said it. One that is not there is refused at the start, as Docker does. */
export function endpointsOf(engine: Engine, mode: string, body: unknown): Record<string, EndpointRecord> {
  if (mode.startsWith('container:')) return {};
  const networking = asObject(asObject(body, 'body')['NetworkingConfig'] ?? {}, 'NetworkingConfig');
  const configs = asObject(networking['EndpointsConfig'] ?? {}, 'EndpointsConfig');
  const given = Object.entries(configs).map(
    ([name, config]) => [name === 'default' ? 'bridge' : name, endpointConfig(name, config)] as const,
  );
  const named = given.some(([name]) => sameNetwork(engine, name, mode)) ? given : [[mode, {}] as const, ...given];
  return Object.fromEntries(
    named.map(([name, config]) => [
      name,
      engine.networks.find(name) === undefined ? absentEndpoint(name, config) : newEndpoint(engine, name, config),
    ]),
  );
}

function absentEndpoint(networkName: string, config: EndpointConfig): EndpointRecord {
  return { networkId: '', networkName, config, endpointId: '', dnsNames: [] };
}

/** Throws 404 for a network that is not there. */
export function newEndpoint(engine: Engine, name: string, config: EndpointConfig): EndpointRecord {
  const network = engine.networks.get(name);
  if (network.configOnly) throw badRequest(`network ${name} is a configuration-only network and cannot be used`);
  checkAddresses(network, config);
  return { networkId: network.id, networkName: network.name, config, endpointId: '', dnsNames: [] };
}

/** `--ip` wants a network whose subnets the user chose. */
function checkAddresses(network: NetworkRecord, { IPAMConfig: ipam }: EndpointConfig): void {
  const wanted = [
    [ipam?.IPv4Address, false],
    [ipam?.IPv6Address, true],
  ] as const;
  const problems = wanted
    .filter(([address]) => Boolean(address))
    .flatMap(([, v6]) => [
      ...(predefinedNames.includes(network.name)
        ? ['user specified IP address is supported on user defined networks only']
        : []),
      ...(network.ipamConfig.some(({ Subnet }) => Subnet?.includes(':') === v6)
        ? []
        : ['user specified IP address is supported only when connecting to networks with user configured subnets']),
    ]);
  if (problems.length > 0)
    throw badRequest(
      `invalid config for network ${network.name}: invalid endpoint settings:\n* ${[...new Set(problems)].join('\n* ')}`,
    );
}

export function endpointConfig(name: string, value: unknown): EndpointConfig {
  return asObject(value ?? {}, `EndpointsConfig.${name}`) as EndpointConfig;
}

function sameNetwork(engine: Engine, a: string, b: string): boolean {
  return a === b || engine.networks.find(a)?.id === engine.networks.find(b)?.id;
}
