/** The plugin without an engine: the calls of an attach and a detach as an engine makes them, over the plugin's socket. */
import { randomBytes } from 'node:crypto';
import { PluginClient, type PortBinding } from '../../../plugins/sdk/index.ts';
import type { Daemon } from '../../../test/support/daemon.ts';

export interface BareNetwork {
  /** CreateEndpoint, Join, ProgramExternalConnectivity: what stands in the way of a container's start. */
  attach(portBindings?: readonly PortBinding[]): Promise<string>;
  /** RevokeExternalConnectivity, Leave, DeleteEndpoint. */
  detach(endpointId: string): Promise<void>;
  /** Deletes the network. */
  close(): Promise<void>;
}

/** A network in 10.SECOND.0.0/16 that no engine knows. */
export async function openBareNetwork(networkd: Daemon, second: number): Promise<BareNetwork> {
  const client = new PluginClient({ url: `unix://${networkd.socket('cleat-bridge')}` });
  const networkId = randomBytes(32).toString('hex');
  await client.network.createNetwork({
    networkId,
    options: {},
    enableIPv4: true,
    enableIPv6: false,
    internal: false,
    ipv4: [
      { addressSpace: 'LocalDefault', pool: `10.${second}.0.0/16`, gateway: `10.${second}.0.1/16`, auxAddresses: {} },
    ],
    ipv6: [],
  });
  let last = 1;
  return {
    async attach(portBindings = []) {
      last += 1;
      const endpoint = { networkId, endpointId: randomBytes(32).toString('hex') };
      const ports = {
        exposedPorts: portBindings.map(({ protocol, containerPort }) => ({ protocol, port: containerPort })),
        portBindings,
      };
      const address = `10.${second}.${last >> 8}.${last & 255}/16`;
      await client.network.createEndpoint({ ...endpoint, ...ports, interface: { address }, options: {} });
      await client.network.join({
        ...endpoint,
        ...ports,
        sandboxKey: `/var/run/docker/netns/${endpoint.endpointId.slice(0, 12)}`,
        options: {},
      });
      await client.network.programExternalConnectivity({ ...endpoint, ...ports, noProxy6To4: false });
      return endpoint.endpointId;
    },
    async detach(endpointId) {
      await client.network.revokeExternalConnectivity({ networkId, endpointId });
      await client.network.leave({ networkId, endpointId });
      await client.network.deleteEndpoint({ networkId, endpointId });
    },
    async close() {
      await client.network.deleteNetwork({ networkId });
      client.close();
    },
  };
}

export function tcpPort(hostPort: number, containerPort = hostPort): PortBinding {
  return { protocol: 'tcp', hostIp: '', hostPort, hostPortEnd: hostPort, containerPort, containerIp: '' };
}
