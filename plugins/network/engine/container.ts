/** What an engine's API says about a container, read once: everything from there is checked here and trusted afterwards. */

export type Health = 'none' | 'starting' | 'healthy' | 'unhealthy';

export interface ContainerPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
}

/** One attachment of a container. */
export interface ContainerNetwork {
  readonly networkId: string;
  readonly networkName: string;
  /** Empty while the container does not run. */
  readonly endpointId: string;
  readonly addresses: readonly string[];
  /** Empty while the container does not run. */
  readonly macAddress: string;
  /** What the user and the engine call the container here: aliases, DNS names, without duplicates. */
  readonly aliases: readonly string[];
}

export interface EngineContainer {
  /** 64 hex digits. */
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly running: boolean;
  readonly paused: boolean;
  readonly health: Health;
  readonly labels: Readonly<Record<string, string>>;
  /** `--mac-address`, where the user gave one. */
  readonly givenMac: string | undefined;
  /** Path of the network namespace; empty while the container does not run. */
  readonly sandboxKey: string;
  /** Exposed by the image or the user, and published ones. */
  readonly ports: readonly ContainerPort[];
  /** `--dns`, `--dns-search`, `--dns-opt`. */
  readonly dns: {
    readonly servers: readonly string[];
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  readonly networks: readonly ContainerNetwork[];
}

type Json = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function asTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

export function asTextMap(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(asObject(value)).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

/** The reply of `GET /containers/ID/json`; undefined when it is none. */
export function readContainer(body: unknown): EngineContainer | undefined {
  const inspect = asObject(body);
  const id = asText(inspect['Id']);
  if (!/^[0-9a-f]{64}$/.test(id)) return undefined;
  const state = asObject(inspect['State']);
  const config = asObject(inspect['Config']);
  const host = asObject(inspect['HostConfig']);
  const settings = asObject(inspect['NetworkSettings']);
  return {
    id,
    name: asText(inspect['Name']).replace(/^\//, ''),
    running: state['Running'] === true,
    paused: state['Paused'] === true,
    health: readHealth(state),
    labels: asTextMap(config['Labels']),
    givenMac: asText(config['MacAddress']) || undefined,
    sandboxKey: asText(settings['SandboxKey']),
    ports: readPorts([
      ...Object.keys(asObject(config['ExposedPorts'])),
      ...Object.keys(asObject(host['PortBindings'])),
    ]),
    dns: { servers: asTexts(host['Dns']), search: asTexts(host['DnsSearch']), options: asTexts(host['DnsOptions']) },
    networks: Object.entries(asObject(settings['Networks'])).map(([networkName, value]) =>
      readAttachment(networkName, asObject(value)),
    ),
  };
}

function readHealth(state: Json): Health {
  // Podman of some versions writes Healthcheck.
  const status = asText(asObject(state['Health'] ?? state['Healthcheck'])['Status']);
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : 'none';
}

function readPorts(keys: readonly string[]): ContainerPort[] {
  const ports = [...new Set(keys)].flatMap((key) => {
    const [port = '', protocol = 'tcp'] = key.split('/');
    if (!/^\d+$/.test(port) || (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')) return [];
    return [{ port: Number(port), protocol } as const];
  });
  return ports.sort((a, b) => a.port - b.port);
}

function readAttachment(networkName: string, network: Json): ContainerNetwork {
  const addresses = [asText(network['IPAddress']), asText(network['GlobalIPv6Address'])];
  return {
    networkName,
    networkId: asText(network['NetworkID']),
    endpointId: asText(network['EndpointID']),
    addresses: addresses.filter((address) => address !== ''),
    macAddress: asText(network['MacAddress']),
    aliases: [...new Set([...asTexts(network['Aliases']), ...asTexts(network['DNSNames'])])],
  };
}

/** A network as the engine lists it. */
export interface EngineNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The reply of `GET /networks`. */
export function readNetworks(body: unknown): EngineNetwork[] {
  if (!Array.isArray(body)) return [];
  return body.map(asObject).flatMap((network) => {
    const id = asText(network['Id']);
    if (id === '') return [];
    return [
      { id, name: asText(network['Name']), driver: asText(network['Driver']), labels: asTextMap(network['Labels']) },
    ];
  });
}
