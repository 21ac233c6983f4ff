/** A good request for each method of the protocol, and the ways to make a bad one of it. */

export const id = 'a'.repeat(64);
export const logInfo = { ContainerID: id, ContainerName: '/c', Config: { a: 'b' } };
export const endpointIds = { NetworkID: id, EndpointID: id };
const ports = {
  'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
  'com.docker.network.portmap': [{ Proto: 17, IP: '', Port: 53, HostIP: '127.0.0.1', HostPort: 53, HostPortEnd: 54 }],
};

/** One good body for each method that needs one. */
export const goodRequests: Record<string, Record<string, unknown>> = {
  'NetworkDriver.CreateNetwork': {
    NetworkID: id,
    Options: { 'com.docker.network.generic': { a: 'b' }, 'com.docker.network.enable_ipv6': true },
    IPv4Data: [
      { AddressSpace: 's', Pool: '192.0.2.0/24', Gateway: '192.0.2.1/24', AuxAddresses: { x: '192.0.2.9/24' } },
    ],
    IPv6Data: [],
  },
  'NetworkDriver.DeleteNetwork': { NetworkID: id },
  'NetworkDriver.FreeNetwork': { NetworkID: id },
  'NetworkDriver.AllocateNetwork': {
    NetworkID: 'x'.repeat(25),
    Options: { a: 'b' },
    IPv4Data: [{ Pool: '192.0.2.0/24' }],
    IPv6Data: null,
  },
  'NetworkDriver.GwAllocCheck': { Options: { 'com.docker.network.generic': {} } },
  'NetworkDriver.CreateEndpoint': {
    ...endpointIds,
    Interface: { Address: '192.0.2.2/24' },
    Options: { ...ports, foo: 'bar' },
  },
  'NetworkDriver.DeleteEndpoint': endpointIds,
  'NetworkDriver.EndpointOperInfo': endpointIds,
  'NetworkDriver.Join': { ...endpointIds, SandboxKey: '/run/netns/x', Options: ports },
  'NetworkDriver.Leave': endpointIds,
  'NetworkDriver.ProgramExternalConnectivity': { ...endpointIds, Options: ports },
  'NetworkDriver.RevokeExternalConnectivity': endpointIds,
  'NetworkDriver.DiscoverNew': { DiscoveryType: 1, DiscoveryData: { Address: '192.0.2.1' } },
  'NetworkDriver.DiscoverDelete': { DiscoveryType: 1, DiscoveryData: { Address: '192.0.2.1' } },
  'IpamDriver.RequestPool': {
    AddressSpace: 's',
    Pool: '192.0.2.0/24',
    SubPool: '192.0.2.0/25',
    Options: { a: 'b' },
    V6: false,
  },
  'IpamDriver.ReleasePool': { PoolID: 'p' },
  'IpamDriver.RequestAddress': {
    PoolID: 'p',
    Address: '192.0.2.2',
    Options: { RequestAddressType: 'com.docker.network.gateway' },
  },
  'IpamDriver.ReleaseAddress': { PoolID: 'p', Address: '192.0.2.2' },
  'VolumeDriver.Create': { Name: 'v', Opts: { a: 'b' } },
  'VolumeDriver.Get': { Name: 'v' },
  'VolumeDriver.Mount': { Name: 'v', ID: id },
  'VolumeDriver.Unmount': { Name: 'v', ID: id },
  'VolumeDriver.Path': { Name: 'v' },
  'VolumeDriver.Remove': { Name: 'v' },
  'LogDriver.StartLogging': { File: '/run/docker/logging/x', Info: logInfo },
  'LogDriver.StopLogging': { File: '/run/docker/logging/x' },
};

/** All ways of replacing one value inside the body, at any depth. */
export function replaced(value: unknown, by: unknown): unknown[] {
  const here = [by];
  if (typeof value !== 'object' || value === null) return here;
  const inside = Object.entries(value).flatMap(([key, inner]) =>
    replaced(inner, by).map((changed) => {
      if (Array.isArray(value)) return value.map((item, index) => (String(index) === key ? changed : item));
      return { ...value, [key]: changed };
    }),
  );
  return [...here, ...inside];
}
