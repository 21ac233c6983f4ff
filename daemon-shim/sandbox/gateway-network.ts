/**
 * The way out for containers whose drivers give none: a network of the default driver, made when it is first needed, joined
 * beside the container's own. Docker's name for it, `docker_gwbridge`, and its options.
 */
import type { EndpointRecord } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { makeNetwork } from '../network/create.ts';
import type { NetworkRecord } from '../network/record.ts';
import { type EndpointPorts, joinNetwork } from './endpoint.ts';
import { sandboxKey } from './sandbox.ts';

export const gatewayNetworkName = 'docker_gwbridge';

/** On networks that lead out, none of whose drivers gave a gateway, or said that there shall be none. */
export function needsGatewayNetwork(engine: Engine, container: Container): boolean {
  const joined = Object.values(container.record.endpoints).filter(
    ({ endpointId, hidden, networkId }) =>
      endpointId !== '' && hidden !== true && engine.networks.find(networkId)?.internal === false,
  );
  const provided = joined.some(
    ({ gateway, gatewayIPv6, noGatewayService }) =>
      gateway !== undefined || gatewayIPv6 !== undefined || noGatewayService === true,
  );
  return joined.length > 0 && !provided;
}

/** No names there: containers do not see each other on it. */
export async function joinGatewayNetwork(
  engine: Engine,
  container: Container,
  ports: EndpointPorts,
): Promise<EndpointRecord> {
  const network = await ensureGatewayNetwork(engine);
  const names = {
    containerId: container.id,
    containerName: `gateway_${container.id.slice(0, 12)}`,
    aliases: [],
    dnsNames: [],
  };
  const key = sandboxKey(engine.config, container.id);
  return { ...(await joinNetwork(engine, key, network, {}, names, ports)), hidden: true };
}

function ensureGatewayNetwork(engine: Engine): Promise<NetworkRecord> {
  const { defaultNetworkDriver: driver, defaultIpamDriver: ipamDriver } = engine.config;
  return engine.networks.locked(gatewayNetworkName, async () => {
    const known = engine.networks.find(gatewayNetworkName);
    if (known !== undefined) return known;
    return makeNetwork(engine, {
      name: gatewayNetworkName,
      driver,
      ipamDriver,
      enableIPv4: true,
      enableIPv6: false,
      internal: false,
      attachable: false,
      configOnly: false,
      configFrom: '',
      ipamOptions: {},
      ipamConfig: [],
      options: {
        'com.docker.network.bridge.name': gatewayNetworkName,
        'com.docker.network.bridge.enable_icc': 'false',
        'com.docker.network.bridge.enable_ip_masquerade': 'true',
      },
      labels: {},
    });
  });
}
