/** What a network driver implements. Source: protocol page of NetworkDriver, engines 20.10 to 28.5. */

export type Scope = 'local' | 'global';

export interface NetworkCapabilities {
  /** `global` networks are made by a swarm manager; only managed plugins can serve them. */
  readonly scope: Scope;
  readonly connectivityScope?: Scope;
  /** Ask the engine (28.x) to call gwAllocCheck before createNetwork. */
  readonly gwAllocChecker?: boolean;
}

/** One pool of a network. Addresses are CIDR strings that carry the pool's prefix length. */
export interface IpamData {
  readonly addressSpace: string;
  readonly pool: string;
  readonly gateway?: string;
  /** name → CIDR, `--aux-address`; empty when none. */
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface CreateNetworkRequest {
  /** 64 hex digits, or 25 lower-case alphanumerics for swarm networks. */
  readonly networkId: string;
  /** The `-o` options, verbatim; a bare flag is `""`. */
  readonly options: Readonly<Record<string, string>>;
  /** Absent on 20.10, where it means true. */
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly ipv4: readonly IpamData[];
  readonly ipv6: readonly IpamData[];
}

export interface GwAllocCheckRequest {
  readonly options: Readonly<Record<string, string>>;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
}

export interface GwAllocCheckReply {
  readonly skipIPv4: boolean;
  readonly skipIPv6: boolean;
}

/** IP protocol numbers: 6 tcp, 17 udp, 132 sctp. */
export type TransportProtocol = 'tcp' | 'udp' | 'sctp';

export interface ExposedPort {
  readonly protocol: TransportProtocol;
  readonly port: number;
}

/** What the user asked for with `-p`. hostPort 0 with hostPortEnd 0: any port; a range: any one of it. */
export interface PortBinding {
  readonly protocol: TransportProtocol;
  /** `""` means unspecified: every address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly hostPortEnd: number;
  readonly containerPort: number;
  /** Address inside the container; engines always send `""`. */
  readonly containerIp: string;
}

export interface PortOptions {
  readonly exposedPorts: readonly ExposedPort[];
  readonly portBindings: readonly PortBinding[];
}

/** `""` in the wire's Interface becomes an absent field here. Addresses are CIDR. */
export interface EndpointInterface {
  readonly address?: string;
  readonly addressIPv6?: string;
  readonly macAddress?: string;
}

export interface CreateEndpointRequest extends PortOptions {
  readonly networkId: string;
  readonly endpointId: string;
  readonly interface: EndpointInterface;
  /** true when the user gave the MAC address; it may also come from an IPAM driver that wants one. */
  readonly macAddressByUser?: boolean;
  /** Driver options of the endpoint (`driver-opt`), sent here only and never in join. */
  readonly options: Readonly<Record<string, string>>;
}

export interface EndpointRequest {
  readonly networkId: string;
  readonly endpointId: string;
}

export interface JoinRequest extends EndpointRequest, PortOptions {
  /** Path of the sandbox's network namespace on the engine's host. */
  readonly sandboxKey: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface StaticRoute {
  /** CIDR. */
  readonly destination: string;
  /** Absent: on-link through the interface. */
  readonly nextHop?: string;
}

export interface JoinReply {
  /** A link in the engine's own network namespace, which the engine moves, renames `dstPrefix`+N and addresses. */
  readonly interfaceName: { readonly srcName: string; readonly dstPrefix: string; readonly dstName?: string };
  readonly gateway?: string;
  readonly gatewayIPv6?: string;
  readonly staticRoutes?: readonly StaticRoute[];
  /** true keeps the engine from adding docker_gwbridge when no gateway is given. */
  readonly disableGatewayService?: boolean;
}

export interface ProgramExternalConnectivityRequest extends EndpointRequest, PortOptions {
  /** 28.x: do not forward from the host's IPv6 to a container that has IPv4 only. */
  readonly noProxy6To4: boolean;
}

export interface DiscoverRequest {
  /** 1: a node of the cluster. */
  readonly discoveryType: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface AllocateNetworkRequest {
  readonly networkId: string;
  readonly options: Readonly<Record<string, string>>;
  readonly ipv4: readonly IpamData[];
  readonly ipv6: readonly IpamData[];
}

/**
 * Every method must succeed when repeated, and every delete when its object is gone: engines retry, and forget objects
 * whose removal failed. The signal aborts at the handler's deadline.
 */
export interface NetworkDriver {
  /** Default: local. */
  readonly capabilities?: NetworkCapabilities;
  gwAllocCheck?(request: GwAllocCheckRequest, signal: AbortSignal): Promise<GwAllocCheckReply>;
  createNetwork(request: CreateNetworkRequest, signal: AbortSignal): Promise<void>;
  deleteNetwork(request: { readonly networkId: string }, signal: AbortSignal): Promise<void>;
  /** Fill only what was absent in the request: the engine refuses a changed field. */
  createEndpoint(request: CreateEndpointRequest, signal: AbortSignal): Promise<EndpointInterface>;
  deleteEndpoint(request: EndpointRequest, signal: AbortSignal): Promise<void>;
  /** Cheap and without side effects: it may come at any time, any number of times. Default: nothing to tell. */
  endpointOperInfo?(request: EndpointRequest, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>>;
  join(request: JoinRequest, signal: AbortSignal): Promise<JoinReply>;
  /** The engine takes the link out only after the answer. Default: nothing to do. */
  leave?(request: EndpointRequest, signal: AbortSignal): Promise<void>;
  /** Publishes ports. Default: none are. */
  programExternalConnectivity?(request: ProgramExternalConnectivityRequest, signal: AbortSignal): Promise<void>;
  revokeExternalConnectivity?(request: EndpointRequest, signal: AbortSignal): Promise<void>;
  discoverNew?(request: DiscoverRequest, signal: AbortSignal): Promise<void>;
  discoverDelete?(request: DiscoverRequest, signal: AbortSignal): Promise<void>;
  /** Swarm managers only. The reply's options replace the user's. */
  allocateNetwork?(request: AllocateNetworkRequest, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  freeNetwork?(request: { readonly networkId: string }, signal: AbortSignal): Promise<void>;
}
