/** All networks of a starting container, the choice of its gateway, and its published ports. */

import { setDefaultRoutes } from '../../plugins/linux/sandbox-link.ts';
import { RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError, notFound } from '../api/api-error.ts';
import type { EndpointRecord } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { isBuiltIn } from '../network/record.ts';
import { type EndpointPorts, joinNetwork, leaveNetwork } from './endpoint.ts';
import { choosePorts, portsOf, shownPorts } from './ports.ts';
import { sandboxKey } from './sandbox.ts';

/** The record says what is joined after each network, so that a start cut short can be taken back. */
export async function attachNetworks(engine: Engine, container: Container): Promise<void> {
  const key = sandboxKey(engine.config, container.id);
  const asked = portsOf(container.record);
  const ports: EndpointPorts = { ...asked, portBindings: await choosePorts(asked.portBindings) };
  for (const [name, endpoint] of Object.entries(container.record.endpoints)) {
    const network = engine.networks.find(endpoint.networkId || name);
    if (network === undefined)
      throw notFound(`failed to set up container networking: network ${endpoint.networkId || name} not found`);
    if (isBuiltIn(network)) continue;
    const { record } = await joinNetwork(engine, key, network, endpoint.config, namesOf(container, endpoint), ports);
    setEndpoint(container, name, record);
  }
  await moveGateway(engine, container, ports);
}

/** Names by which the others on the network find the container: its name, its aliases, its short id. */
export function namesOf(container: Container, endpoint: EndpointRecord) {
  const { id, name } = container.record;
  const aliases = endpoint.config.Aliases ?? [];
  return { containerId: id, containerName: name, aliases, dnsNames: [...new Set([name, ...aliases, id.slice(0, 12)])] };
}

/** Revokes at the old gateway, sets the routes, programs at the new one. The caller saves what the record now says. */
export async function moveGateway(engine: Engine, container: Container, ports: EndpointPorts): Promise<void> {
  const chosen = chooseGateway(engine, container);
  const current = Object.entries(container.record.endpoints).find(([, endpoint]) => endpoint.isGateway);
  if (chosen?.[0] === current?.[0] && chosen !== undefined) return;
  if (current !== undefined) await revoke(engine, container, ...current);
  if (chosen === undefined) return;
  const [name, endpoint] = chosen;
  setDefaultRoutes(sandboxKey(engine.config, container.id), endpoint);
  const network = engine.networks.get(endpoint.networkId);
  const driver = await engine.plugins.get(network.driver, 'network');
  const ids = { networkId: network.id, endpointId: endpoint.endpointId };
  try {
    if (!network.internal) await driver.network.programExternalConnectivity({ ...ids, ...ports, noProxy6To4: false });
    await driver.network.endpointOperInfo(ids);
  } catch (error) {
    if (error instanceof RemoteError) {
      throw new ApiError(
        500,
        `failed to set up container networking: driver failed programming external connectivity on endpoint ${container.record.name} (${endpoint.endpointId}): ${error.line}`,
        { cause: error },
      );
    }
    throw error;
  }
  container.remember({
    endpoints: { ...container.record.endpoints, [name]: { ...endpoint, isGateway: true } },
    ports: shownPorts(network.internal ? { exposedPorts: ports.exposedPorts, portBindings: [] } : ports, {
      v4: endpoint.address !== undefined,
      v6: true,
    }),
  });
}

/** Everything back; the records keep what the user asked for. */
export async function detachNetworks(engine: Engine, container: Container): Promise<void> {
  for (const [name, endpoint] of Object.entries(container.record.endpoints)) {
    if (endpoint.endpointId === '') continue;
    await detachEndpoint(engine, container, name, endpoint);
  }
  container.remember({ ports: {} });
}

export async function detachEndpoint(
  engine: Engine,
  container: Container,
  name: string,
  endpoint: EndpointRecord,
): Promise<void> {
  await revoke(engine, container, name, endpoint);
  await leaveNetwork(engine, sandboxKey(engine.config, container.id), endpoint);
  const { networkId, networkName, config } = endpoint;
  setEndpoint(container, name, { networkId, networkName, config, endpointId: '', dnsNames: [] });
}

async function revoke(engine: Engine, container: Container, name: string, endpoint: EndpointRecord): Promise<void> {
  const network = engine.networks.find(endpoint.networkId);
  if (network === undefined) return;
  try {
    const driver = await engine.plugins.get(network.driver, 'network');
    await driver.network.revokeExternalConnectivity({ networkId: network.id, endpointId: endpoint.endpointId });
  } catch (error) {
    engine.log.warn({ err: error, network: network.name }, 'revoke external connectivity');
  }
  const { isGateway: _was, ...rest } = endpoint;
  container.remember({ endpoints: { ...container.record.endpoints, [name]: rest } });
}

/** Highest gw-priority, then not internal, then both families before one before none, then the name. */
function chooseGateway(engine: Engine, container: Container): [string, EndpointRecord] | undefined {
  const rank = (endpoint: EndpointRecord) => {
    const internal = engine.networks.find(endpoint.networkId)?.internal ? 0 : 1;
    const families = [endpoint.gateway, endpoint.gatewayIPv6].filter((gateway) => gateway !== undefined).length;
    return [endpoint.config.GwPriority ?? 0, internal, families] as const;
  };
  const candidates = Object.entries(container.record.endpoints).filter(([, endpoint]) => endpoint.endpointId !== '');
  candidates.sort(([nameA, a], [nameB, b]) => {
    const [rankA, rankB] = [rank(a), rank(b)];
    const difference = rankB.map((value, index) => value - (rankA[index] ?? 0)).find((value) => value !== 0);
    return difference ?? (nameA < nameB ? -1 : 1);
  });
  return candidates[0];
}

export function setEndpoint(container: Container, name: string, endpoint: EndpointRecord): void {
  container.update({ endpoints: { ...container.record.endpoints, [name]: endpoint } });
}
