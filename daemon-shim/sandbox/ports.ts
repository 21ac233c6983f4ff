/** Published ports: from the API's `PortBindings` and `ExposedPorts` to what the protocol carries, and back for `docker ps`. */
import { createServer } from 'node:net';
import type { ExposedPort, PortBinding, TransportProtocol } from '../../plugins/sdk/index.ts';
import { badRequest } from '../api/api-error.ts';
import type { ContainerRecord, PortBindingConfig } from '../container/record.ts';
import type { EndpointPorts } from './endpoint.ts';

const protocols: readonly TransportProtocol[] = ['tcp', 'udp', 'sctp'];

/** `80/tcp`. Throws 400. */
export function parsePortKey(key: string): ExposedPort {
  const [port = '', word = 'tcp'] = key.split('/');
  const protocol = protocols.find((known) => known === word.toLowerCase());
  if (protocol === undefined) throw badRequest(`invalid port specification: "${key}": unknown protocol ${word}`);
  return { protocol, port: parsePort(port, key) };
}

export function portsOf(record: Pick<ContainerRecord, 'config' | 'hostConfig'>): EndpointPorts {
  const { PortBindings: bindings, PublishAllPorts: publishAll } = record.hostConfig;
  const exposed = Object.keys(record.config.ExposedPorts ?? {});
  const published = Object.entries(bindings).flatMap(([key, list]) =>
    (list ?? []).map((binding) => toBinding(key, binding)),
  );
  const others = publishAll
    ? exposed.filter((key) => !Object.hasOwn(bindings, key)).map((key) => toBinding(key, { HostIp: '', HostPort: '' }))
    : [];
  const keys = new Set([...exposed, ...Object.keys(bindings)]);
  return { exposedPorts: [...keys].map(parsePortKey), portBindings: [...published, ...others] };
}

function toBinding(key: string, binding: PortBindingConfig): PortBinding {
  const { protocol, port } = parsePortKey(key);
  const [first = '', last = first] = (binding.HostPort ?? '').split('-');
  const hostPort = first === '' ? 0 : parsePort(first, binding.HostPort);
  return {
    protocol,
    hostIp: binding.HostIp ?? '',
    hostPort,
    hostPortEnd: last === '' ? hostPort : parsePort(last, binding.HostPort),
    containerPort: port,
    containerIp: '',
  };
}

function parsePort(text: string, shown: string): number {
  const port = Number(text);
  if (!/^[0-9]+$/.test(text) || port > 65535) throw badRequest(`invalid port specification: "${shown}"`);
  return port;
}

/**
 * The protocol has no way for a driver to tell which port it took, so a port that the user left open is chosen here and asked
 * for by number.
 */
export async function choosePorts(bindings: readonly PortBinding[]): Promise<PortBinding[]> {
  const chosen: PortBinding[] = [];
  for (const binding of bindings) {
    const port =
      binding.hostPort === 0 || binding.hostPort !== binding.hostPortEnd
        ? await freePort(binding, chosen)
        : binding.hostPort;
    chosen.push({ ...binding, hostPort: port, hostPortEnd: port });
  }
  return chosen;
}

async function freePort(binding: PortBinding, taken: readonly PortBinding[]): Promise<number> {
  const isTaken = (port: number) =>
    taken.some((other) => other.protocol === binding.protocol && other.hostPort === port);
  if (binding.hostPort !== 0) {
    for (let port = binding.hostPort; port <= binding.hostPortEnd; port += 1) {
      if (!isTaken(port) && (await probe(binding.hostIp, port)) !== undefined) return port;
    }
    throw badRequest(`all ports of ${binding.hostPort}-${binding.hostPortEnd} are taken`);
  }
  for (;;) {
    const port = await probe(binding.hostIp, 0);
    if (port !== undefined && !isTaken(port)) return port;
  }
}

/** The port, when a socket can be bound to it now; undefined when it is taken. 0 lets the kernel choose. */
function probe(hostIp: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: hostIp || '::', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

/** `NetworkSettings.Ports`: exposed ports without binding are null; an unspecified host address is shown for both families. */
export function shownPorts(
  ports: EndpointPorts,
  families: { readonly v4: boolean; readonly v6: boolean },
): Record<string, PortBindingConfig[] | null> {
  const shown: Record<string, PortBindingConfig[] | null> = {};
  for (const { protocol, port } of ports.exposedPorts) shown[`${port}/${protocol}`] = null;
  for (const binding of ports.portBindings) {
    const key = `${binding.containerPort}/${binding.protocol}`;
    const hosts = binding.hostIp
      ? [binding.hostIp]
      : [...(families.v4 ? ['0.0.0.0'] : []), ...(families.v6 ? ['::'] : [])];
    shown[key] = [...(shown[key] ?? []), ...hosts.map((HostIp) => ({ HostIp, HostPort: String(binding.hostPort) }))];
  }
  return shown;
}
