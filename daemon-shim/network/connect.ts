/** `network connect` and `disconnect`, on a container that runs or not. */
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import { newEndpoint } from '../container/endpoints.ts';
import type { EndpointConfig } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import { rewriteFiles } from '../container/start.ts';
import type { Engine } from '../engine.ts';
import {
  detachEndpoint,
  moveGateway,
  namesOf,
  removeEndpoint,
  setEndpoint,
  settleGateway,
} from '../sandbox/attach-networks.ts';
import { joinNetwork } from '../sandbox/endpoint.ts';
import { portsOf } from '../sandbox/ports.ts';
import { sandboxKey } from '../sandbox/sandbox.ts';
import { emitNetworkEvent } from './event.ts';
import { isBuiltIn } from './record.ts';

/** Under the container's lock. */
export async function connectContainer(
  engine: Engine,
  container: Container,
  networkName: string,
  config: EndpointConfig,
): Promise<void> {
  const network = engine.networks.get(networkName);
  const mode = container.record.hostConfig.NetworkMode;
  if (mode.startsWith('container:'))
    throw conflict(
      'container sharing network namespace with another container or host cannot be connected to any other network',
    );
  if (network.driver === 'host' || mode === 'host') throw conflict('container cannot be connected to host network');
  if (
    isBuiltIn(network) ||
    (mode === 'none' && container.isRunning && Object.keys(container.record.endpoints).includes('none'))
  ) {
    throw new ApiError(
      403,
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
    );
  }
  const known = Object.values(container.record.endpoints).some((endpoint) => endpoint.networkId === network.id);
  if (known)
    throw new ApiError(403, `endpoint with name ${container.record.name} already exists in network ${network.name}`);
  const endpoint = newEndpoint(engine, network.id, config);
  if (!container.isRunning) setEndpoint(container, network.name, endpoint);
  else await joinRunning(engine, container, network.name, endpoint.config);
  emitNetworkEvent(engine, network, 'connect', { container: container.id });
}

async function joinRunning(
  engine: Engine,
  container: Container,
  networkName: string,
  config: EndpointConfig,
): Promise<void> {
  const network = engine.networks.get(networkName);
  const key = sandboxKey(engine.config, container.id);
  const ports = portsOf(container.record);
  const endpoint = newEndpoint(engine, network.id, config);
  const joined = await joinNetwork(engine, key, network, config, namesOf(container, endpoint), ports);
  setEndpoint(container, network.name, joined);
  await settleGateway(engine, container, ports);
  container.save();
  rewriteFiles(engine, container);
}

/** Under the container's lock. `force` takes a container off a network that is gone. */
export async function disconnectContainer(
  engine: Engine,
  container: Container,
  networkName: string,
  force: boolean,
): Promise<void> {
  const network = engine.networks.find(networkName);
  if (network === undefined && !force) throw engine.networks.get(networkName);
  const found = Object.entries(container.record.endpoints).find(
    ([name, endpoint]) => endpoint.networkId === network?.id || name === networkName,
  );
  if (found === undefined) {
    throw new ApiError(403, `container ${container.id} is not connected to network ${network?.name ?? networkName}`);
  }
  if (network?.driver === 'host')
    throw badRequest('container cannot be disconnected from host network - container was created in host network mode');
  const [name, endpoint] = found;
  const ports = portsOf(container.record);
  if (container.isRunning && endpoint.endpointId !== '')
    await detachEndpoint(engine, container, name, endpoint, () => moveGateway(engine, container, ports, name));
  removeEndpoint(container, name);
  if (container.isRunning) {
    await settleGateway(engine, container, ports);
    container.save();
    rewriteFiles(engine, container);
  }
  if (network !== undefined) emitNetworkEvent(engine, network, 'disconnect', { container: container.id });
}
