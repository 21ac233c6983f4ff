/**
 * What a test needs of the machine: root, a kernel feature, a program. Each is tried, not guessed from a version. A file that
 * misses something skips aloud: it prints one line with the reason, and the runner counts it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Link types and the arguments of `ip link add` that prove them. */
const links = {
  bridge: 'type bridge',
  veth: 'type veth peer name probe1',
  vxlan: 'type vxlan id 7 dstport 4789',
  macvlan: 'link parent type macvlan mode bridge',
  ipvlan: 'link parent type ipvlan mode l2',
  vlan: 'link parent type vlan id 7',
  dummy: 'type dummy',
  wireguard: 'type wireguard',
  geneve: 'type geneve id 7 remote 192.0.2.1',
} as const;

const probes = {
  root: () => process.getuid?.() === 0 || 'not root',
  nftables: () => inNewNetns('nft add table inet probe'),
  netem: () => inNewNetns('ip link add left type veth peer name right && tc qdisc add dev left root netem delay 1ms'),
  esp: () =>
    inNewNetns(
      'ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport enc "cbc(aes)" 0x00112233445566778899aabbccddeeff',
    ),
  sctp: () => inNewNetns('modprobe -q sctp; grep -q "^SCTP " /proc/net/protocols'),
  nfsd: () => filesystem('nfsd'),
  nfs: () => filesystem('nfs4'),
  overlayfs: () => filesystem('overlay'),
  // The only kind there is on this host.
  cgroup2: () => existsSync('/sys/fs/cgroup/cgroup.controllers') || '/sys/fs/cgroup is no cgroup2 file system',
  // ext4 with project quota, in a file of its own.
  prjquota: () =>
    inNewNetns(
      'd=$(mktemp -d) && trap "rm -rf $d" EXIT && truncate -s 16M $d/i && mkfs.ext4 -q -O quota,project -E quotatype=prjquota $d/i && modprobe -qa loop quota_v2; unshare -m mount -o loop,prjquota $d/i $d',
    ),
  tun: () => existsSync('/dev/net/tun') || '/dev/net/tun is missing',
  // Debian's package installs both; the guest runs this machine's own root file system.
  uml: () => program('linux.uml'),
  'engine-20.10': () => program('dockerd'),
  'engine-28': () => program('debootstrap'),
} as const;

export type Requirement = keyof typeof links | keyof typeof probes | `program:${string}`;

/** The first thing that is missing, in words; undefined when all is there. */
export function missing(...needs: readonly Requirement[]): string | undefined {
  for (const need of needs) {
    const answer = probe(need);
    if (answer !== true) return `needs ${need}: ${answer}`;
  }
  return undefined;
}

/**
 * Ends this test file as skipped, with the reason, when something is missing. Call it first in the file:
 * `requires('root', 'vxlan')`.
 */
export function requires(...needs: readonly Requirement[]): void {
  const reason = missing(...needs);
  if (reason === undefined) return;
  process.stdout.write(`# skip: ${reason}\n`);
  process.exit(0);
}

function probe(need: Requirement): true | string {
  if (need.startsWith('program:')) return program(need.slice('program:'.length));
  if (need in links) {
    const parent = 'ip link add parent type veth peer name other && ip link set parent up';
    return inNewNetns(`${parent} && ip link add probe0 ${links[need as keyof typeof links]}`);
  }
  return probes[need as keyof typeof probes]();
}

function inNewNetns(script: string): true | string {
  const done = spawnSync('unshare', ['--net', 'sh', '-c', script], { encoding: 'utf8', timeout: 10_000 });
  if (done.status === 0) return true;
  return (done.stderr || done.error?.message || 'failed').trim().split('\n')[0] ?? 'failed';
}

function filesystem(name: string): true | string {
  const script = `modprobe -q ${name} 2>/dev/null; grep -qw ${name} /proc/filesystems`;
  return spawnSync('sh', ['-c', script]).status === 0 || `the kernel has no file system ${name}`;
}

function program(name: string): true | string {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name]).status === 0 || `the program ${name} is not installed`;
}
