/** What the network drivers need from the kernel, and what else on the host is in their way. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { CommandError, runCommand } from '../../linux/command.ts';
import { findRuleBackend } from '../../linux/rule-backend.ts';
import { readFilterChoice } from '../../network/publish/open-writer.ts';
import { defaultConfigFile, readConfigFile } from '../../sdk/daemon-flags.ts';
import { PluginError } from '../../sdk/errors.ts';
import { type Check, type Finding, fail, ok, warn } from './check.ts';

/** Link kind → the module that carries it, and who needs it. */
const linkKinds = [
  { kind: 'bridge', module: 'bridge', driver: 'cleat-bridge', add: ['type', 'bridge'] },
  { kind: 'veth', module: 'veth', driver: 'cleat-bridge', add: ['type', 'veth', 'peer', 'name', 'cleatprobe1'] },
  { kind: 'macvlan', module: 'macvlan', driver: 'cleat-macvlan', add: ['link', 'cleatparent', 'type', 'macvlan'] },
  { kind: 'ipvlan', module: 'ipvlan', driver: 'cleat-ipvlan', add: ['link', 'cleatparent', 'type', 'ipvlan'] },
  { kind: 'vlan', module: '8021q', driver: 'cleat-macvlan', add: ['link', 'cleatparent', 'type', 'vlan', 'id', '7'] },
  { kind: 'dummy', module: 'dummy', driver: 'cleat-macvlan', add: ['type', 'dummy'] },
  { kind: 'vxlan', module: 'vxlan', driver: 'cleat-overlay', add: ['type', 'vxlan', 'id', '7', 'dstport', '4789'] },
  { kind: 'wireguard', module: 'wireguard', driver: 'cleat-overlay', add: ['type', 'wireguard'] },
] as const;

const timeoutMs = 5000;

export function networkChecks(): Check[] {
  return [
    ...linkKinds.map(
      (entry): Check => ({ driver: entry.driver, subject: `kernel: ${entry.kind}`, look: () => lookAtLinkKind(entry) }),
    ),
    { driver: 'cleat-bridge', subject: 'packet filter', look: lookAtPacketFilter },
    { driver: 'cleat-bridge', subject: 'forwarding', look: lookAtForwarding },
    { driver: 'cleat-bridge', subject: 'FORWARD policy', look: lookAtForwardPolicy },
    { driver: 'cleat-bridge', subject: 'bridge netfilter', look: lookAtBridgeNetfilter },
    { driver: 'cleat-bridge', subject: 'reverse path filter', look: lookAtReversePath },
    { driver: 'cleat-bridge', subject: 'connection table', look: lookAtConntrack },
    { driver: 'cleat-bridge', subject: 'other firewalls', look: lookAtFirewalls },
    { driver: 'cleat-macvlan', subject: 'parents', look: () => lookAtParents('/sys/class/net') },
    { driver: 'cleat-dhcp', subject: 'IPv6 on parents', look: () => lookAtIpv6Parents('/sys/class/net') },
    { driver: 'dns', subject: 'resolvers', look: lookAtResolvers },
  ];
}

async function lookAtLinkKind(entry: (typeof linkKinds)[number]): Promise<Finding> {
  // In a namespace of its own that ends with the command: nothing on this host is touched.
  const script = ['link', 'add', 'cleatprobe', ...entry.add];
  const needsParent = (entry.add as readonly string[]).includes('cleatparent');
  const batch = `${needsParent ? 'link add cleatparent type veth peer name cleatpeer\n' : ''}${script.join(' ')}\n`;
  try {
    await runCommand('unshare', ['--net', 'ip', '-batch', '-'], { timeoutMs, input: batch });
    return ok('available');
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const mend = `modprobe ${entry.module}`;
    if (entry.kind === 'wireguard' && existsSync('/usr/bin/wireguard-go'))
      return ok('not in the kernel; wireguard-go is there');
    if (entry.kind === 'wireguard')
      return warn(
        'not in the kernel; encrypted networks are not available',
        `${mend}, or apt-get install wireguard-go`,
      );
    const optional = entry.kind !== 'bridge' && entry.kind !== 'veth';
    return (optional ? warn : fail)(
      `the kernel offers no ${entry.kind} links: ${error.stderr.trim().split('\n')[0] ?? ''}`,
      mend,
    );
  }
}

/** Which one rules are written by, and why. */
async function lookAtPacketFilter(): Promise<Finding> {
  const configFile = defaultConfigFile('networkd');
  let wanted: ReturnType<typeof readFilterChoice>;
  try {
    wanted = readFilterChoice(readConfigFile({ configFile, configGiven: false })['firewall']);
  } catch (error) {
    const how = error instanceof PluginError && error.hint !== undefined ? `${error.hint}, in ` : 'edit ';
    return fail((error as Error).message, `${how}${configFile}`);
  }
  const found = await findRuleBackend(wanted);
  if (found.kind === 'nftables') return ok('nftables: ports are elements of maps, at one cost for any number');
  const missing = found.reason.includes('is not installed') ? 'apt-get install nftables' : 'modprobe nf_tables';
  const mend = wanted === 'iptables' ? `take "firewall" out of ${configFile}` : missing;
  if (found.kind === 'none') return fail(`neither nftables nor iptables can be used: ${found.reason}`, mend);
  const ipv6 = found.ipv6 === undefined ? '; no ip6tables: networks with IPv6 are refused' : '';
  return warn(
    `iptables ${found.version} in place of nftables, since ${found.reason}; every port is a rule, many are slow${ipv6}`,
    mend,
  );
}

function lookAtForwarding(): Finding {
  const off = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].filter((name) => readSysctl(`net/${name}`) === '0');
  if (off.length === 0) return ok('on for IPv4 and IPv6');
  const names = off.map((name) => `net.${name.replaceAll('/', '.')}`);
  return warn(
    `off: ${names.join(', ')}; switched on when a network needs it`,
    `sysctl -w ${names.map((name) => `${name}=1`).join(' ')}`,
  );
}

async function lookAtForwardPolicy(): Promise<Finding> {
  const seen: string[] = [];
  for (const tool of ['iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy']) {
    const rules = await runCommand(tool, ['-w', '2', '-S'], { timeoutMs }).catch(() => undefined);
    if (rules === undefined || !rules.stdout.includes('-P FORWARD DROP')) continue;
    const chain = rules.stdout.includes('-N DOCKER-USER');
    seen.push(`${tool}: drop${chain ? ', with DOCKER-USER where our accept rule stands' : ''}`);
    if (!chain)
      return warn(seen.join('; '), `${tool} -I FORWARD -i cl-+ -j ACCEPT; ${tool} -I FORWARD -o cl-+ -j ACCEPT`);
  }
  return ok(seen.length === 0 ? 'accept' : seen.join('; '));
}

function lookAtBridgeNetfilter(): Finding {
  const value = readSysctl('net/bridge/bridge-nf-call-iptables');
  if (value === undefined) return ok('not loaded');
  return value === '1' ? ok('on: traffic inside one network passes the IP rules too; ours allow it') : ok('off');
}

function lookAtReversePath(): Finding {
  const value = readSysctl('net/ipv4/conf/all/rp_filter');
  return value === '1'
    ? ok('strict; networks with asymmetric routes need net.ipv4.conf.all.rp_filter=2')
    : ok(value === '2' ? 'loose' : 'off');
}

function lookAtConntrack(): Finding {
  const [count, max] = ['count', 'max'].map((name) =>
    Number(readSysctl(`net/netfilter/nf_conntrack_${name}`) ?? Number.NaN),
  );
  if (count === undefined || max === undefined || Number.isNaN(count) || Number.isNaN(max)) return ok('no table yet');
  const detail = `${count} of ${max} entries`;
  return count > max * 0.8
    ? warn(`${detail}: new connections fail when it is full`, `sysctl -w net.netfilter.nf_conntrack_max=${max * 4}`)
    : ok(detail);
}

function lookAtFirewalls(): Finding {
  const present = [
    ['firewalld', '/run/firewalld'],
    ['ufw', '/etc/ufw/ufw.conf'],
  ].filter(([, path]) => path !== undefined && existsSync(path));
  if (present.length === 0) return ok('none found');
  const names = present.map(([name]) => name).join(', ');
  return warn(
    `${names}: published ports are decided in our own table, before its rules for the host`,
    'read the manual page of cleat-bridge, "Host rules"',
  );
}

/** Interfaces that can be a parent; wireless ones carry frames of one MAC address only, and ports of a bridge have their master already. */
function lookAtParents(folder: string): Finding {
  const has = (name: string, entry: string) => existsSync(`${folder}/${name}/${entry}`);
  const names = readdirSync(folder).filter(
    (name) => name !== 'lo' && !/^(cl-|cv|cx|ch-|cd-|docker|veth|ifb)/.test(name),
  );
  const wireless = names.filter((name) => has(name, 'phy80211') || has(name, 'wireless'));
  const usable = names.filter((name) => !wireless.includes(name) && !has(name, 'brport'));
  const list = usable.length > 0 ? `usable: ${usable.join(', ')}` : 'no interface for -o parent=';
  if (wireless.length === 0) return usable.length > 0 ? ok(list) : warn(list, 'only --internal networks are possible');
  return warn(
    `${list}; ${wireless.join(', ')} wireless, for one MAC address`,
    'use -d cleat-ipvlan on wireless interfaces',
  );
}

/** DHCPv6 asks from a link-local address. */
function lookAtIpv6Parents(folder: string): Finding {
  const off = readdirSync(folder).filter(
    (name) => existsSync(`${folder}/${name}/device`) && readSysctl(`net/ipv6/conf/${name}/disable_ipv6`) === '1',
  );
  if (off.length === 0) return ok('not switched off');
  return warn(`switched off on ${off.join(', ')}: no DHCPv6 there`, `sysctl -w net.ipv6.conf.${off[0]}.disable_ipv6=0`);
}

function lookAtResolvers(): Finding {
  let text: string;
  try {
    text = readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return warn(
      'no /etc/resolv.conf: names outside our networks have nobody to ask',
      'write one with a nameserver line',
    );
  }
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]);
  return servers.length > 0
    ? ok(servers.join(', '))
    : warn('/etc/resolv.conf names no server', 'add a nameserver line');
}

function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${path}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
