/** Container images made from Debian's packages, as archives for `docker import`: no registry is needed. */
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheEntry } from './cache.ts';
import { ensureCached } from './cache.ts';
import { debootstrapInto } from './sid-root.ts';
import { runStep, say } from './step.ts';

export type ImageName = 'busybox' | 'tools';

/** Debian's static busybox and links to all its applets: sh, ping, nslookup, wget, nc, httpd, ip. */
export const busyboxImage: CacheEntry = {
  name: 'busybox.tar',
  recipe: ['1'],
  build(path) {
    const tree = `${path}.tree`;
    rmSync(tree, { recursive: true, force: true });
    for (const folder of ['bin', 'etc', 'tmp', 'root', 'www']) mkdirSync(join(tree, folder), { recursive: true });
    copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
    for (const applet of runStep('/bin/busybox', ['--list']).trim().split('\n')) {
      if (applet !== 'busybox') symlinkSync('busybox', join(tree, 'bin', applet));
    }
    writeFileSync(
      join(tree, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    );
    writeFileSync(join(tree, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
    pack(tree, path);
  },
};

/** A Debian tree with the tools that busybox lacks. */
const tools = [
  'iproute2',
  'iputils-ping',
  'bind9-dnsutils',
  'iperf3',
  'tcpdump',
  'socat',
  'netcat-openbsd',
  'curl',
  'python3-minimal',
];
export const toolsImage: CacheEntry = {
  name: 'tools.tar',
  recipe: ['1', ...tools],
  build(path) {
    say('building the image with the measuring tools (about 1 minute, once)');
    const tree = `${path}.tree`;
    rmSync(tree, { recursive: true, force: true });
    debootstrapInto(tree, 'bookworm', tools);
    runStep('rm', ['-rf', join(tree, 'usr/share/locale')]);
    pack(tree, path);
  },
};

function pack(tree: string, path: string): void {
  runStep('tar', ['--numeric-owner', '-C', tree, '-cf', path, '.']);
  rmSync(tree, { recursive: true, force: true });
}

/** The archive's path, built when it is missing. */
export function ensureImageArchive(name: ImageName): string {
  return name === 'busybox' ? ensureCached(busyboxImage, 'busybox-image') : ensureCached(toolsImage, 'tools-image');
}
