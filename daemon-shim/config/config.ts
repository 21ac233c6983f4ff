/** The configuration of the shim, after flags and daemon.json were put together; keys are dockerd's where it has them. */
import type { AddressPool, RuntimeEntry, Ulimit } from './option.ts';

/** Ours alone: it goes when nothing is in it. Another one that the user names is the user's. */
export const defaultCgroupParent = '/cleat';

export interface ShimConfig {
  /** Control socket and API socket. */
  readonly runDir: string;
  /** Images, layers, records, container folders. */
  readonly dataRoot: string;
  /** Whatever ends with the machine's run: bundles, exit codes, namespaces. */
  readonly execRoot: string;
  /** `unix:///path`, `tcp://host:port` or `fd://`. */
  readonly hosts: readonly string[];
  /** Group of unix sockets; empty: `docker` when there is one. */
  readonly group: string;
  readonly tls?: TlsConfig;
  readonly pidfile?: string;
  readonly pluginDir: string;
  readonly labels: readonly string[];
  readonly logLevel: string;
  readonly debug: boolean;
  readonly defaultRuntime: string;
  readonly runtimes: Readonly<Record<string, RuntimeEntry>>;
  readonly init: boolean;
  readonly initPath?: string;
  readonly liveRestore: boolean;
  readonly logDriver: string;
  readonly logOpts: Readonly<Record<string, string>>;
  readonly defaultNetworkDriver: string;
  readonly defaultIpamDriver: string;
  readonly defaultVolumeDriver: string;
  readonly shutdownTimeoutSeconds: number;
  readonly defaultUlimits: Readonly<Record<string, Ulimit>>;
  readonly defaultShmSize: number;
  readonly defaultIpcMode: 'private' | 'shareable';
  /** Undefined: private with control groups 2, host with 1. */
  readonly defaultCgroupnsMode?: 'private' | 'host';
  readonly cgroupParent: string;
  readonly noNewPrivileges: boolean;
  /** A file, `unconfined` or `builtin`. */
  readonly seccompProfile: string;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly hostGatewayIps: readonly string[];
  readonly defaultAddressPools: readonly AddressPool[];
  /** Driver → options of new networks that do not give them. */
  readonly defaultNetworkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly bridge: BridgeConfig;
}

export interface TlsConfig {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients must show a certificate of the CA's. */
  readonly verify: boolean;
}

/** What the flags say of the predefined network `bridge`. */
export interface BridgeConfig {
  /** `none`: there is no such network. */
  readonly name?: string;
  /** CIDR: the bridge's address and its subnet. */
  readonly bip?: string;
  readonly bip6?: string;
  readonly fixedCidr?: string;
  readonly fixedCidr6?: string;
  readonly gateway?: string;
  readonly gateway6?: string;
  readonly mtu?: number;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  readonly ipv6: boolean;
  /** Host address of published ports. */
  readonly hostIp?: string;
}
