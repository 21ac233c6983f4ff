/** The configuration of the shim, after flags and daemon.json were put together; keys are dockerd's where it has them. */

export interface ShimConfig {
  /** Images, layers, records, container folders. */
  readonly dataRoot: string;
  /** Whatever ends with the machine's run: bundles, exit codes, namespaces. */
  readonly execRoot: string;
  /** `unix:///path` or `tcp://host:port`. */
  readonly hosts: readonly string[];
  readonly pidfile?: string;
  readonly pluginDir: string;
  readonly labels: readonly string[];
  readonly defaultRuntime: string;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly runtimeArgs?: readonly string[] }>>;
  readonly init: boolean;
  readonly liveRestore: boolean;
  readonly logDriver: string;
  readonly logOpts: Readonly<Record<string, string>>;
  readonly defaultNetworkDriver: string;
  readonly defaultIpamDriver: string;
  readonly defaultVolumeDriver: string;
  readonly shutdownTimeoutSeconds: number;
  readonly defaultUlimits: Readonly<
    Record<string, { readonly Name: string; readonly Soft: number; readonly Hard: number }>
  >;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
}
