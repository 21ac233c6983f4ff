/** All networks of a starting container, the choice of its gateway, and its published ports. */

import { setDefaultRoutes } from '../../plugins/linux/sandbox-link.ts';
import { RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError, notFound } from '../api/api-error.ts';
import { linkedPorts } from '../container/links.ts';
import type { EndpointRecord } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { isBuiltIn } from '../network/record.ts';
import { type EndpointPorts, joinNetwork, leaveNetwork } from './endpoint.ts';
import { gatewayNetworkName, joinGatewayNetwork, needsGatewayNetwork } from './gateway-network.ts';
import { choosePorts, portsOf, shownPorts } from './ports.ts';
import { sandboxKey } from './sandbox.ts';

/** The record says what is joined after each network, so that a start cut short can be taken back. */
export async function attachNetworks(engine: Engine, container: Container): Promise<void> {
  const key = sandboxKey(engine.config, container.id);
  const asked = portsOf(container.record);
  const ports: EndpointPorts = { ...asked, portBindings: await choosePorts(asked.portBindings) };
  for (const [name, endpoint] of Object.entries(container.record.endpoints)) {
    const network = engine.networks.find(endpoint.networkId || name);
    // `--bridge none`: as in Docker, the default network is none.
    if (network === undefined && name === 'bridge' && engine.config.bridge.name === 'none') continue;
    if (network === undefined)
      throw notFound(`failed to set up container networking: network ${endpoint.networkId || name} not found`);
    if (isBuiltIn(network)) continue;
    const names = {
      ...namesOf(container, endpoint),
      ...(network.name === 'bridge' ? { linkedPorts: linkedPorts(engine, container.record) } : {}),
    };
    const joined = await joinNetwork(engine, key, network, endpoint.config, names, ports);
    container.updateRun({ endpoints: { ...container.record.endpoints, [name]: joined } });
  }
  await settleGateway(engine, container, ports);
}

/** Names by which the others on the network find the container: its name, its aliases, its short id. */
export function namesOf(container: Container, endpoint: EndpointRecord) {
  const { id, name } = container.record;
  const aliases = endpoint.config.Aliases ?? [];
  return { containerId: id, containerName: name, aliases, dnsNames: [...new Set([name, ...aliases, id.slice(0, 12)])] };
}

/** After the endpoints have changed: a way out where no driver gives one, the default routes, the published ports. */
export async function settleGateway(engine: Engine, container: Container, ports: EndpointPorts): Promise<void> {
  const extra = container.record.endpoints[gatewayNetworkName];
  const needed = needsGatewayNetwork(engine, container);
  if (needed && extra === undefined) {
    setEndpoint(container, gatewayNetworkName, await joinGatewayNetwork(engine, container, ports));
  }
  if (!needed && extra?.hidden) await detachEndpoint(engine, container, gatewayNetworkName, extra);
  await moveGateway(engine, container, ports);
  await askOperInfo(engine, container);
}

/**
 * Revokes at the old gateway, sets the routes, programs at the new one; `leaving` is no candidate any more. The caller saves
 * what the record now says.
 */
export async function moveGateway(
  engine: Engine,
  container: Container,
  ports: EndpointPorts,
  leaving?: string,
): Promise<void> {
  const chosen = chooseGateway(engine, container, leaving);
  const current = Object.entries(container.record.endpoints).find(([, endpoint]) => endpoint.isGateway);
  if (chosen?.[0] === current?.[0]) return;
  if (current !== undefined) await revoke(engine, container, ...current);
  if (chosen === undefined) return;
  const [name, endpoint] = chosen;
  setDefaultRoutes(sandboxKey(engine.config, container.id), endpoint);
  const network = engine.networks.get(endpoint.networkId);
  const isGateway = (is: boolean) =>
    container.remember({
      endpoints: { ...container.record.endpoints, [name]: is ? { ...endpoint, isGateway: true } : endpoint },
    });
  isGateway(true);
  if (!network.internal) {
    try {
      const driver = await engine.plugins.get(network.driver, 'network');
      await driver.network.programExternalConnectivity({
        networkId: network.id,
        endpointId: endpoint.endpointId,
        ...ports,
        noProxy6To4: false,
      });
    } catch (error) {
      isGateway(false);
      if (!(error instanceof RemoteError)) throw error;
      throw new ApiError(
        500,
        `failed to set up container networking: driver failed programming external connectivity on endpoint ${container.record.name} (${endpoint.endpointId}): ${error.line}`,
        { cause: error },
      );
    }
  }
  container.remember({
    ports: shownPorts(network.internal ? { exposedPorts: ports.exposedPorts, portBindings: [] } : ports, {
      v4: endpoint.address !== undefined,
      v6: true,
    }),
  });
}

/** Each driver is asked once what it says of its endpoint, as engines do; nothing is made of the answer. */
async function askOperInfo(engine: Engine, container: Container): Promise<void> {
  for (const { networkId, endpointId } of Object.values(container.record.endpoints)) {
    const network = engine.networks.find(networkId);
    if (endpointId === '' || network === undefined) continue;
    const { network: driver } = await engine.plugins.get(network.driver, 'network');
    await driver.endpointOperInfo({ networkId, endpointId }).catch((error: unknown) => {
      engine.log.debug({ err: error, network: network.name }, 'endpoint information');
    });
  }
}

/** Everything back; the records keep what the user asked for. */
export async function detachNetworks(engine: Engine, container: Container): Promise<void> {
  for (const [name, endpoint] of Object.entries(container.record.endpoints)) {
    if (endpoint.endpointId === '') continue;
    await detachEndpoint(engine, container, name, endpoint);
  }
  container.remember({ ports: {} });
}

/** `afterLeave`: what another endpoint takes over while this one's driver still knows it. */
export async function detachEndpoint(
  engine: Engine,
  container: Container,
  name: string,
  endpoint: EndpointRecord,
  afterLeave?: () => Promise<void>,
): Promise<void> {
  if (endpoint.isGateway) await revoke(engine, container, name, endpoint);
  await leaveNetwork(engine, sandboxKey(engine.config, container.id), endpoint, afterLeave);
  const { networkId, networkName, config } = endpoint;
  if (endpoint.hidden) removeEndpoint(container, name);
  else setEndpoint(container, name, { networkId, networkName, config, endpointId: '', dnsNames: [] });
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

/** Highest gw-priority, then not internal, then both families before one, then the name; undefined where no driver gives one. */
function chooseGateway(engine: Engine, container: Container, leaving?: string): [string, EndpointRecord] | undefined {
  const families = (endpoint: EndpointRecord) =>
    [endpoint.gateway, endpoint.gatewayIPv6].filter((gateway) => gateway !== undefined).length;
  const rank = (endpoint: EndpointRecord) => {
    const internal = engine.networks.find(endpoint.networkId)?.internal ? 0 : 1;
    return [endpoint.config.GwPriority ?? 0, internal, families(endpoint)] as const;
  };
  const candidates = Object.entries(container.record.endpoints).filter(
    ([name, endpoint]) => endpoint.endpointId !== '' && name !== leaving && families(endpoint) > 0,
  );
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

export function removeEndpoint(container: Container, name: string): void {
  const { [name]: _gone, ...rest } = container.record.endpoints;
  container.update({ endpoints: rest });
}
