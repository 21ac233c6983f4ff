/**
 * What is kept of a container: what the client asked for, in the API's own words, and what has become of it. The record is
 * written before each answer; whatever is not in it (streams, clients that wait) ends with the shim.
 */

/** The container's configuration as `POST /containers/create` carries it; fields that are not read are kept and shown. */
export interface ContainerConfig {
  readonly Hostname: string;
  readonly Domainname: string;
  readonly User: string;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly StdinOnce: boolean;
  readonly Env: readonly string[];
  readonly Cmd: readonly string[] | null;
  readonly Entrypoint: readonly string[] | null;
  readonly Image: string;
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Volumes?: Readonly<Record<string, object>> | null;
  readonly StopSignal?: string;
  readonly StopTimeout?: number;
  readonly Healthcheck?: HealthConfig;
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[] | null;
}

/** Durations in nanoseconds; Test[0] is NONE, CMD or CMD-SHELL. */
export interface HealthConfig {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface PortBindingConfig {
  readonly HostIp: string;
  readonly HostPort: string;
}

export interface MountConfig {
  readonly Type: 'bind' | 'volume' | 'tmpfs' | string;
  readonly Source?: string;
  readonly Target: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: {
    readonly Propagation?: string;
    readonly NonRecursive?: boolean;
    readonly CreateMountpoint?: boolean;
    readonly ReadOnlyNonRecursive?: boolean;
    readonly ReadOnlyForceRecursive?: boolean;
  };
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Subpath?: string;
    readonly Labels?: Readonly<Record<string, string>>;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Readonly<Record<string, string>> };
  };
  readonly TmpfsOptions?: {
    readonly SizeBytes?: number;
    readonly Mode?: number;
    readonly Options?: readonly string[][];
  };
}

/** `HostConfig` of the API: only what the shim reads is typed; the rest is kept and shown by inspect. */
export interface HostConfig {
  readonly Binds: readonly string[] | null;
  readonly Mounts?: readonly MountConfig[];
  readonly NetworkMode: string;
  readonly PortBindings: Readonly<Record<string, readonly PortBindingConfig[]>>;
  readonly PublishAllPorts: boolean;
  readonly RestartPolicy: { readonly Name: string; readonly MaximumRetryCount: number };
  readonly AutoRemove: boolean;
  readonly VolumeDriver: string;
  readonly VolumesFrom: readonly string[] | null;
  readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  readonly CapAdd: readonly string[] | null;
  readonly CapDrop: readonly string[] | null;
  readonly Dns: readonly string[];
  readonly DnsOptions: readonly string[];
  readonly DnsSearch: readonly string[];
  readonly ExtraHosts: readonly string[] | null;
  readonly GroupAdd: readonly string[] | null;
  readonly IpcMode: string;
  readonly PidMode: string;
  readonly UTSMode: string;
  readonly CgroupnsMode: string;
  readonly Links: readonly string[] | null;
  readonly OomScoreAdj: number;
  readonly Privileged: boolean;
  readonly ReadonlyRootfs: boolean;
  readonly SecurityOpt: readonly string[] | null;
  readonly Tmpfs?: Readonly<Record<string, string>>;
  readonly ShmSize: number;
  readonly Sysctls?: Readonly<Record<string, string>>;
  readonly Runtime: string;
  readonly Init?: boolean | null;
  readonly Memory: number;
  readonly MemorySwap: number;
  readonly MemoryReservation: number;
  readonly MemorySwappiness?: number | null;
  readonly OomKillDisable?: boolean | null;
  readonly NanoCpus: number;
  readonly CpuShares: number;
  readonly CpuPeriod: number;
  readonly CpuQuota: number;
  readonly CpusetCpus: string;
  readonly CpusetMems: string;
  readonly PidsLimit?: number | null;
  readonly BlkioWeight: number;
  readonly BlkioWeightDevice?: readonly { readonly Path: string; readonly Weight: number }[] | null;
  readonly BlkioDeviceReadBps?: readonly ThrottleDevice[] | null;
  readonly BlkioDeviceWriteBps?: readonly ThrottleDevice[] | null;
  readonly BlkioDeviceReadIOps?: readonly ThrottleDevice[] | null;
  readonly BlkioDeviceWriteIOps?: readonly ThrottleDevice[] | null;
  readonly CgroupParent: string;
  readonly Devices: readonly DeviceMapping[] | null;
  readonly DeviceCgroupRules: readonly string[] | null;
  readonly Ulimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[] | null;
  readonly UsernsMode?: string;
  readonly Isolation?: string;
  readonly StorageOpt?: Readonly<Record<string, string>> | null;
  readonly CpuRealtimePeriod?: number;
  readonly CpuRealtimeRuntime?: number;
  readonly DeviceRequests?:
    | readonly { readonly Driver?: string; readonly Capabilities?: readonly (readonly string[])[] | null }[]
    | null;
  readonly MaskedPaths?: readonly string[] | null;
  readonly ReadonlyPaths?: readonly string[] | null;
  readonly Annotations?: Readonly<Record<string, string>>;
}

export interface ThrottleDevice {
  readonly Path: string;
  readonly Rate: number;
}

export interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

/** What the client asked for on one network. */
export interface EndpointConfig {
  readonly IPAMConfig?: {
    readonly IPv4Address?: string;
    readonly IPv6Address?: string;
    readonly LinkLocalIPs?: readonly string[];
  } | null;
  readonly Links?: readonly string[] | null;
  readonly Aliases?: readonly string[] | null;
  readonly MacAddress?: string;
  readonly DriverOpts?: Readonly<Record<string, string>> | null;
  readonly GwPriority?: number;
}

export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface HealthState {
  readonly Status: 'starting' | 'healthy' | 'unhealthy';
  readonly FailingStreak: number;
  readonly Log: readonly {
    readonly Start: string;
    readonly End: string;
    readonly ExitCode: number;
    readonly Output: string;
  }[];
}

export interface ContainerState {
  readonly status: ContainerStatus;
  /** 0 while it does not run. */
  readonly pid: number;
  /** The pid's start time from /proc, so that a reused pid is not taken for it. */
  readonly pidStartTime?: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  /** RFC 3339 with nanoseconds; `0001-01-01T00:00:00Z` when never. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly restartCount: number;
  /** The user stopped it: `unless-stopped` and `always` leave it alone until it is started again. */
  readonly manuallyStopped: boolean;
  readonly health?: HealthState;
}

/** One mount of the container, resolved at create; `docker inspect` shows it as MountPoint. */
export interface MountRecord {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  /** Volume name. */
  readonly name?: string;
  readonly driver?: string;
  /** Host path of a bind; the volume's mountpoint once mounted. */
  readonly source: string;
  readonly destination: string;
  readonly mode: string;
  readonly rw: boolean;
  readonly propagation: string;
  readonly subpath?: string;
  readonly noCopy?: boolean;
  /** 64 hex: the ID that the volume plugin knows this mount point by. */
  readonly mountId?: string;
  /** The volume was made for this container alone and goes with `rm -v`. */
  readonly anonymous?: boolean;
  readonly tmpfsOptions?: readonly string[];
  readonly spec?: MountConfig;
}

/** One attachment to a network; addresses are set while the sandbox exists. */
export interface EndpointRecord {
  readonly networkId: string;
  readonly networkName: string;
  readonly config: EndpointConfig;
  readonly endpointId: string;
  /** The pools that the addresses were taken from. */
  readonly poolId?: string;
  readonly poolIdIPv6?: string;
  /** CIDR. */
  readonly address?: string;
  readonly addressIPv6?: string;
  readonly gateway?: string;
  readonly gatewayIPv6?: string;
  readonly macAddress?: string;
  readonly interfaceName?: string;
  /** The link's name outside the sandbox. */
  readonly srcName?: string;
  readonly dnsNames: readonly string[];
  /** This endpoint carries the default route and the published ports. */
  readonly isGateway?: boolean;
  /** The driver wants no other way out for containers on this network. */
  readonly noGatewayService?: boolean;
  /** Not the user's: the way out for networks without one. */
  readonly hidden?: boolean;
}

export interface ContainerRecord {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly created: string;
  /** The program and its arguments after entrypoint and command were put together. */
  readonly path: string;
  readonly args: readonly string[];
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** `sha256:…` */
  readonly imageId: string;
  readonly state: ContainerState;
  readonly mounts: readonly MountRecord[];
  /** By network name as the user said it. */
  readonly endpoints: Readonly<Record<string, EndpointRecord>>;
  /** Ports published by the gateway endpoint, as the driver answered or the shim chose; `80/tcp` → bindings. */
  readonly ports: Readonly<Record<string, readonly PortBindingConfig[] | null>>;
  /** The open log session's FIFO, while there is one. */
  readonly logFile?: string;
}

export const never = '0001-01-01T00:00:00Z';
