/** Debian's package tools: what is missing, installing it, and the mirror that this machine uses. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { runStep, say } from './step.ts';

/** Of these packages, the ones that are not installed. */
export function missingPackages(packages: readonly string[]): string[] {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
  const query = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages], {
    encoding: 'utf8',
  });
  if (query.error) throw new Error('dpkg-query is missing: this set-up knows Debian and its relatives only');
  const installed = new Set(
    query.stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return packages.filter((name) => !installed.has(name));
}

/** Installs what is missing, without starting any service that a package brings. */
export function installPackages(packages: readonly string[]): void {
  const missing = missingPackages(packages);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new Error(`run as root once to install: ${missing.join(' ')}`);
  say(`installing ${missing.length} Debian packages: ${missing.join(' ')}`);
  runStep('sh', ['-c', installScript, 'sh', ...missing], { timeoutMs: 20 * 60_000 });
}

/**
 * One shell that cleans up whatever happens, Ctrl-C included. An installation that was interrupted earlier is finished first.
 * invoke-rc.d(8) asks /usr/sbin/policy-rc.d whether it may start a service (101: not allowed); a machine's own file stays.
 */
const installScript = `
set -eu
policy=/usr/sbin/policy-rc.d
options='-q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300'
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' >$policy
  chmod 755 $policy
fi
dpkg --configure -a
apt-get $options update
apt-get $options --no-install-recommends install "$@"
`;

/** The Debian mirror of this machine's apt sources, either spelling (`deb ...` lines, or deb822 fields). */
export function debianMirror(): string {
  for (const file of ['/etc/apt/sources.list', ...globSync('/etc/apt/sources.list.d/*').sort()]) {
    if (!existsSync(file)) continue;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const found = /^(?:deb\s+(?:\[[^\]]*\]\s*)?|URIs:\s*)(https?:\/\/\S+\/debian)\/?(?:\s|$)/.exec(line);
      if (found?.[1]) return found[1];
    }
  }
  throw new Error('no Debian mirror found in /etc/apt/sources.list or /etc/apt/sources.list.d');
}
