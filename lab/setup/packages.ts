/** Debian packages, by who needs them. */

/** To run the daemons and the quick start. */
export const runtimePackages = [
  'ca-certificates',
  'iproute2',
  'nftables',
  'libnftables1',
  'iptables',
  'conntrack',
  'kmod',
  'procps',
  'util-linux',
  'busybox-static',
  'curl',
  'e2fsprogs',
  'zstd',
] as const;

/** The engine of Debian 12, where the machine has none. */
export const enginePackages = ['docker.io'] as const;

/** What cleat-shim runs containers with, beside a runtime; the docker command comes with the engine. */
export const shimPackages = ['conmon'] as const;

/** To run every test. */
export const testPackages = [
  ...enginePackages,
  'debootstrap',
  'xz-utils',
  'jq',
  'iputils-ping',
  'bind9-dnsutils',
  'ldnsutils',
  'dnsmasq-base',
  'isc-dhcp-server',
  'dnsperf',
  'iperf3',
  'tcpdump',
  'socat',
  'nmap',
  'netcat-openbsd',
  'strace',
  // For systemd-socket-activate; nothing is started.
  'systemd',
  'openssl',
  'crun',
  ...shimPackages,
  'etcd-server',
  'etcd-client',
  'libfaketime',
  // Debian has User-Mode Linux for amd64 alone.
  ...(process.arch === 'x64' ? ['user-mode-linux', 'tcc'] : []),
  'nfs-kernel-server',
  'nfs-common',
  'rsyslog',
  'xfsprogs',
  'btrfs-progs',
  'quota',
  'wireguard-go',
  'wireguard-tools',
  'tshark',
  // A client of the Engine API that is not the docker command.
  'python3-docker',
] as const;
