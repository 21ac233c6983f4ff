/**
 * A root file system with the newer engine: Debian's unstable branch, which carries Docker 28.5, compose, Podman 5 and
 * etcd. Engines are started in it by `test/support/engine.ts`; nothing of it is installed on the machine itself.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheEntry } from './cache.ts';
import { ensureCached } from './cache.ts';
import { debianMirror } from './debian.ts';
import { runStep, say } from './step.ts';

const packages = [
  'docker.io',
  'docker-cli',
  'docker-compose',
  'podman',
  'netavark',
  'aardvark-dns',
  'etcd-server',
  'iproute2',
  'nftables',
  'iptables',
  'dnsmasq-base',
  'dnsperf',
  'iperf3',
  'crun',
  'conmon',
  'procps',
  'kmod',
];

export const sidRoot: CacheEntry = {
  name: 'sid-root',
  recipe: ['1', ...packages],
  build(root) {
    say('building the root file system of the newer engine (about 2 minutes, once)');
    debootstrapInto(root, 'sid', packages);
    runStep('chroot', [root, 'dockerd', '--version']);
  },
};

/** A minimal Debian tree with some packages more, without their documentation. */
export function debootstrapInto(root: string, suite: string, extra: readonly string[]): void {
  const mirror = debianMirror();
  runStep('debootstrap', ['--variant=minbase', suite, root, mirror], { timeoutMs: 15 * 60_000 });
  writeFileSync(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  mkdirSync(join(root, 'etc/dpkg/dpkg.cfg.d'), { recursive: true });
  writeFileSync(
    join(root, 'etc/dpkg/dpkg.cfg.d/no-docs'),
    'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n',
  );
  const retry = ['-o', 'Acquire::Retries=3'];
  // /proc inside, which some packages insist on, in a mount namespace that goes away with the command.
  const inRoot = ['--mount', 'sh', '-euc', 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"', root];
  runStep('unshare', [...inRoot, 'apt-get', ...retry, '-q', '-y', '--no-install-recommends', 'install', ...extra], {
    timeoutMs: 15 * 60_000,
  });
  runStep('rm', ['-rf', join(root, 'var/lib/apt/lists'), join(root, 'var/cache/apt')]);
}

/** The path of the root, built when it is missing. */
export function ensureSidRoot(): string {
  return ensureCached(sidRoot, 'sid-root');
}
