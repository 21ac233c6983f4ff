/**
 * Every setting: dockerd 28.5's (and 20.10's) flags and keys, and the few of our own. What dockerd has and the shim has no use
 * for is here too, so that an existing command line or daemon.json either works or says which part does not.
 */
import { defaultCgroupParent } from './config.ts';
import type { OptionSpec } from './option.ts';

const noRegistry = 'the shim talks to no registry; bring images with docker save | docker load';
const noSwarm = 'the shim has no swarm';
const noContainerd = 'the shim runs containers itself and needs no containerd';
const driversOwn =
  "packet filter and forwarding are the network driver's: set it in the configuration of cleat-networkd";

export const ownOptions: readonly OptionSpec[] = [
  { name: 'config-file', key: null, kind: 'text', help: 'Daemon configuration file', default: '/etc/cleat/shim.json' },
  { name: 'config', key: null, kind: 'text', help: 'The same as --config-file' },
  {
    name: 'run-dir',
    kind: 'text',
    help: 'API and control sockets, and whatever ends with the run of the machine',
    default: '/run/cleat',
  },
  { name: 'state-dir', kind: 'text', help: 'Images, containers, records', default: '/var/lib/cleat' },
  { name: 'plugin-dir', kind: 'text', help: 'Where sockets of plugins are looked for', default: '/run/docker/plugins' },
  {
    name: 'default-network-driver',
    kind: 'text',
    help: 'Plugin for networks without --driver, and for "bridge"',
    default: 'cleat-bridge',
  },
  {
    name: 'default-ipam-driver',
    kind: 'text',
    help: 'Plugin for addresses without --ipam-driver',
    default: 'cleat-ipam',
  },
  {
    name: 'default-volume-driver',
    kind: 'text',
    help: 'Plugin for volumes without a driver, and for "local"',
    default: 'cleat-local',
  },
  { name: 'help', short: 'h', key: null, kind: 'flag', help: 'Print usage' },
  { name: 'version', short: 'v', key: null, kind: 'flag', help: 'Print version information and quit' },
  { name: 'validate', key: null, kind: 'flag', help: 'Validate daemon configuration and exit' },
];

export const dockerOptions: readonly OptionSpec[] = [
  {
    name: 'add-runtime',
    key: 'runtimes',
    kind: 'runtimes',
    reloads: true,
    help: 'Register an additional OCI compatible runtime (name=path)',
  },
  { name: 'bip', kind: 'text', help: 'IPv4 address for the default bridge (192.168.1.1/24)' },
  { name: 'bip6', kind: 'text', help: 'IPv6 address for the default bridge' },
  {
    name: 'bridge',
    short: 'b',
    kind: 'text',
    help: 'Attach containers to a network bridge; "none": no default network',
  },
  { name: 'cgroup-parent', kind: 'text', help: 'Set parent cgroup for all containers', default: defaultCgroupParent },
  { name: 'data-root', kind: 'text', help: 'Root directory of persistent state', default: 'STATE_DIR/shim' },
  { name: 'debug', short: 'D', kind: 'flag', reloads: true, help: 'Enable debug mode' },
  {
    name: 'default-address-pool',
    key: 'default-address-pools',
    kind: 'pools',
    help: 'Default address pools for networks (base=10.0.0.0/8,size=24)',
  },
  { name: 'default-cgroupns-mode', kind: 'text', help: 'Default mode for containers cgroup namespace (host, private)' },
  { name: 'default-gateway', kind: 'text', help: 'Default gateway IPv4 address for the default bridge network' },
  { name: 'default-gateway-v6', kind: 'text', help: 'Default gateway IPv6 address for the default bridge network' },
  {
    name: 'default-ipc-mode',
    kind: 'text',
    help: 'Default mode for containers ipc (shareable, private)',
    default: 'private',
  },
  {
    name: 'default-network-opt',
    key: 'default-network-opts',
    kind: 'map-of-maps',
    help: 'Default network options (driver=option=value)',
  },
  {
    name: 'default-runtime',
    kind: 'text',
    reloads: true,
    help: 'Default OCI runtime for containers',
    default: 'runc, else crun',
  },
  { name: 'default-shm-size', kind: 'bytes', help: 'Default shm size for containers', default: '64MiB' },
  {
    name: 'default-ulimit',
    key: 'default-ulimits',
    kind: 'ulimits',
    help: 'Default ulimits for containers (nofile=64:64)',
  },
  { name: 'dns', kind: 'list', help: 'DNS server to use' },
  { name: 'dns-opt', key: 'dns-opts', kind: 'list', help: 'DNS options to use' },
  { name: 'dns-search', kind: 'list', help: 'DNS search domains to use' },
  { name: 'exec-root', kind: 'text', help: 'Root directory for execution state files', default: 'RUN_DIR/shim' },
  { name: 'fixed-cidr', kind: 'text', help: 'IPv4 subnet for the default bridge network' },
  { name: 'fixed-cidr-v6', kind: 'text', help: 'IPv6 subnet for the default bridge network' },
  { name: 'group', short: 'G', kind: 'text', help: 'Group for the unix socket', default: 'docker, if there is one' },
  {
    name: 'host',
    short: 'H',
    key: 'hosts',
    kind: 'list',
    help: 'Daemon socket(s) to connect to',
    default: 'unix://RUN_DIR/docker.sock',
  },
  {
    name: 'host-gateway-ip',
    key: 'host-gateway-ips',
    kind: 'list',
    help: "IP addresses that 'host-gateway' in --add-host resolves to",
  },
  {
    name: 'icc',
    kind: 'flag',
    help: 'Enable inter-container communication for the default bridge network',
    default: 'true',
  },
  { name: 'init', kind: 'flag', help: 'Run an init in the container to forward signals and reap processes' },
  { name: 'init-path', kind: 'text', help: 'Path to the init binary' },
  { name: 'ip', kind: 'text', help: 'Host IP for port publishing from the default bridge network', default: '0.0.0.0' },
  { name: 'ip-masq', kind: 'flag', help: 'Enable IP masquerading for the default bridge network', default: 'true' },
  { name: 'ipv6', kind: 'flag', help: 'Enable IPv6 networking for the default bridge network' },
  { name: 'label', key: 'labels', kind: 'list', reloads: true, help: 'Set key=value labels to the daemon' },
  {
    name: 'live-restore',
    kind: 'flag',
    reloads: true,
    help: 'Containers go on running while the shim does not',
    default: 'true',
  },
  { name: 'log-driver', kind: 'text', help: 'Default driver for container logs', default: 'cleat-json-file' },
  {
    name: 'log-level',
    short: 'l',
    kind: 'text',
    help: 'Set the logging level (trace, debug, info, warn, error, fatal)',
    default: 'info',
  },
  { name: 'log-opt', key: 'log-opts', kind: 'map', help: 'Default log driver options for containers' },
  { name: 'mtu', kind: 'integer', help: 'Set the MTU for the default "bridge" network' },
  { name: 'no-new-privileges', kind: 'flag', help: 'Set no-new-privileges by default for new containers' },
  { name: 'pidfile', short: 'p', kind: 'text', help: 'Path to use for daemon PID file' },
  {
    name: 'seccomp-profile',
    kind: 'text',
    help: 'Path to seccomp profile; "unconfined" disables the default one',
    default: 'builtin',
  },
  {
    name: 'shutdown-timeout',
    kind: 'integer',
    reloads: true,
    help: 'Seconds that containers have to stop when --live-restore=false',
    default: '15',
  },
  { name: 'tls', kind: 'flag', help: 'Use TLS; implied by --tlsverify' },
  { name: 'tlscacert', kind: 'text', help: 'Trust certs signed only by this CA', default: '~/.docker/ca.pem' },
  { name: 'tlscert', kind: 'text', help: 'Path to TLS certificate file', default: '~/.docker/cert.pem' },
  { name: 'tlskey', kind: 'text', help: 'Path to TLS key file', default: '~/.docker/key.pem' },
  { name: 'tlsverify', kind: 'flag', help: 'Use TLS and verify the remote' },
];

/** Of dockerd, without a meaning here. */
export const foreignOptions: readonly OptionSpec[] = [
  { name: 'allow-direct-routing', kind: 'flag', help: '', ignored: driversOwn },
  { name: 'allow-nondistributable-artifacts', kind: 'list', help: '', ignored: noRegistry },
  { name: 'builder', kind: 'any', help: '', reloads: true, ignored: 'the shim builds no images' },
  {
    name: 'cdi-spec-dir',
    key: 'cdi-spec-dirs',
    kind: 'list',
    help: '',
    ignored: 'CDI devices are not supported; name devices with --device',
  },
  { name: 'containerd', kind: 'text', help: '', ignored: noContainerd },
  { name: 'containerd-namespace', kind: 'text', help: '', ignored: noContainerd },
  {
    name: 'containerd-plugins-namespace',
    key: 'containerd-plugin-namespace',
    kind: 'text',
    help: '',
    ignored: noContainerd,
  },
  { name: 'cri-containerd', kind: 'flag', help: '', ignored: noContainerd },
  { name: 'experimental', kind: 'flag', help: '', reloads: true, ignored: 'the shim has no experimental features' },
  {
    name: 'feature',
    key: 'features',
    kind: 'map',
    help: '',
    reloads: true,
    ignored: 'the shim has no optional features',
  },
  { name: 'http-proxy', key: 'proxies.http-proxy', kind: 'text', help: '', ignored: noRegistry },
  { name: 'https-proxy', key: 'proxies.https-proxy', kind: 'text', help: '', ignored: noRegistry },
  { name: 'no-proxy', key: 'proxies.no-proxy', kind: 'text', help: '', ignored: noRegistry },
  { name: 'insecure-registry', key: 'insecure-registries', kind: 'list', help: '', reloads: true, ignored: noRegistry },
  { name: 'registry-mirror', key: 'registry-mirrors', kind: 'list', help: '', reloads: true, ignored: noRegistry },
  { name: 'max-concurrent-downloads', kind: 'integer', help: '', reloads: true, ignored: noRegistry },
  { name: 'max-concurrent-uploads', kind: 'integer', help: '', reloads: true, ignored: noRegistry },
  { name: 'max-download-attempts', kind: 'integer', help: '', reloads: true, ignored: noRegistry },
  { name: 'ip-forward-no-drop', kind: 'flag', help: '', ignored: driversOwn },
  { name: 'log-format', kind: 'text', help: '', ignored: 'the log is always JSON, one line an entry' },
  { name: 'raw-logs', kind: 'flag', help: '', ignored: 'the log is always JSON, one line an entry' },
  {
    name: 'metrics-addr',
    kind: 'text',
    help: '',
    ignored: 'metrics are served on the control socket RUN_DIR/shim.sock',
  },
  { name: 'network-control-plane-mtu', kind: 'integer', help: '', ignored: noSwarm },
  {
    name: 'node-generic-resource',
    key: 'node-generic-resources',
    kind: 'list',
    help: '',
    reloads: true,
    ignored: noSwarm,
  },
  { name: 'swarm-default-advertise-addr', kind: 'text', help: '', ignored: noSwarm },
  { name: 'oom-score-adjust', kind: 'integer', help: '', ignored: "set OOMScoreAdjust= in the service's unit" },
  { name: 'userland-proxy', kind: 'flag', help: '', ignored: driversOwn },
  { name: 'userland-proxy-path', kind: 'text', help: '', ignored: driversOwn },
  {
    name: 'api-cors-header',
    kind: 'text',
    help: '',
    refused: { reason: 'the shim sends no CORS headers; put a web server in front of it', unless: [''] },
  },
  {
    name: 'authorization-plugin',
    key: 'authorization-plugins',
    kind: 'list',
    help: '',
    refused: {
      reason:
        'authorization plugins are not supported; without them every client that reaches the socket may do everything',
    },
  },
  {
    name: 'cpu-rt-period',
    kind: 'integer',
    help: '',
    refused: { reason: 'the real-time scheduler of control groups is not supported', unless: [0] },
  },
  {
    name: 'cpu-rt-runtime',
    kind: 'integer',
    help: '',
    refused: { reason: 'the real-time scheduler of control groups is not supported', unless: [0] },
  },
  {
    name: 'exec-opt',
    key: 'exec-opts',
    kind: 'list',
    help: '',
    refused: { reason: 'only native.cgroupdriver=cgroupfs is supported', unless: ['native.cgroupdriver=cgroupfs'] },
  },
  { name: 'ip-forward', kind: 'flag', help: '', refused: { reason: driversOwn, unless: [true] } },
  { name: 'iptables', kind: 'flag', help: '', refused: { reason: driversOwn, unless: [true] } },
  { name: 'ip6tables', kind: 'flag', help: '', refused: { reason: driversOwn, unless: [true] } },
  { name: 'rootless', kind: 'flag', help: '', refused: { reason: 'the shim needs root', unless: [false] } },
  {
    name: 'selinux-enabled',
    kind: 'flag',
    help: '',
    refused: { reason: 'SELinux labels are not supported', unless: [false] },
  },
  {
    name: 'storage-driver',
    short: 's',
    kind: 'text',
    help: '',
    refused: {
      reason: 'images and containers are on overlayfs; only overlay2 is supported',
      unless: ['', 'overlay2', 'overlay', 'overlayfs'],
    },
  },
  {
    name: 'storage-opt',
    key: 'storage-opts',
    kind: 'list',
    help: '',
    refused: { reason: 'overlayfs is used without options' },
  },
  {
    name: 'userns-remap',
    kind: 'text',
    help: '',
    refused: { reason: 'user namespaces are not supported', unless: [''] },
  },
];

export const allOptions: readonly OptionSpec[] = [...ownOptions, ...dockerOptions, ...foreignOptions];

/** The key in the configuration file; undefined: there is none. */
export function keyOf(option: OptionSpec): string | undefined {
  return option.key === null ? undefined : (option.key ?? option.name);
}
