/** The port options of CreateEndpoint, Join and ProgramExternalConnectivity. */
import type { ExposedPort, PortBinding, PortOptions, TransportProtocol } from '../network-plugin.ts';
import type { WireObject, WireReader } from './wire.ts';

export const EXPOSED_PORTS = 'com.docker.network.endpoint.exposedports';
export const PORT_MAP = 'com.docker.network.portmap';

/** IANA protocol numbers. */
const PROTOCOLS: Readonly<Record<number, TransportProtocol>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };
const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const satisfies Record<TransportProtocol, number>;

function decodeProtocol(reader: WireReader): TransportProtocol {
  return PROTOCOLS[reader.integer('Proto', 0, 255)] ?? reader.refuse('Proto', '6 (tcp), 17 (udp) or 132 (sctp)');
}

export function decodePorts(options: WireReader): PortOptions {
  return {
    exposedPorts: options.objects(EXPOSED_PORTS).map((reader): ExposedPort => {
      return { protocol: decodeProtocol(reader), port: reader.integer('Port', 1, 65535) };
    }),
    portBindings: options.objects(PORT_MAP).map((reader): PortBinding => {
      const hostPort = reader.integer('HostPort', 0, 65535, 0);
      const hostPortEnd = reader.integer('HostPortEnd', 0, 65535, hostPort);
      if (hostPortEnd < hostPort) reader.refuse('HostPortEnd', `at least HostPort, which is ${hostPort}`);
      return {
        protocol: decodeProtocol(reader),
        hostIp: reader.text('HostIP'),
        hostPort,
        hostPortEnd,
        containerPort: reader.integer('Port', 1, 65535),
        containerIp: reader.text('IP'),
      };
    }),
  };
}

export function encodePorts(ports: PortOptions): WireObject {
  return {
    [EXPOSED_PORTS]: ports.exposedPorts.map((exposed) => ({ Proto: NUMBERS[exposed.protocol], Port: exposed.port })),
    [PORT_MAP]: ports.portBindings.map((binding) => ({
      Proto: NUMBERS[binding.protocol],
      IP: binding.containerIp,
      Port: binding.containerPort,
      HostIP: binding.hostIp,
      HostPort: binding.hostPort,
      HostPortEnd: binding.hostPortEnd,
    })),
  };
}
