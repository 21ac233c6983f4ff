/**
 * The three files that Docker keeps for every container: hostname, hosts and resolv.conf. They are bind-mounted, so later
 * changes are written into the same inode.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inNetns, openNetns } from '../../plugins/linux/netns.ts';
import type { ShimConfig } from '../config/config.ts';
import { containerFolder } from '../container/folder.ts';
import type { ContainerRecord } from '../container/record.ts';
import { bareIp } from '../network/pools.ts';
import type { OciMount } from '../runtime/default-mounts.ts';

const resolverAddress = '127.0.0.11';
/** 127.0.0.11 as the local address of a line of /proc/net/udp: little-endian, hexadecimal; any port, for it may be redirected. */
const resolverSocket = ': 0B00007F:';

export function sandboxFiles(config: ShimConfig, id: string) {
  const { data } = containerFolder(config, id);
  return { hostname: join(data, 'hostname'), hosts: join(data, 'hosts'), resolvConf: join(data, 'resolv.conf') };
}

export function sandboxFileMounts(config: ShimConfig, id: string): OciMount[] {
  const files = sandboxFiles(config, id);
  const bind = (destination: string, source: string): OciMount => ({
    destination,
    source,
    type: 'bind',
    options: ['rbind', 'rprivate', 'rw'],
  });
  return [
    bind('/etc/resolv.conf', files.resolvConf),
    bind('/etc/hostname', files.hostname),
    bind('/etc/hosts', files.hosts),
  ];
}

export interface SandboxFacts {
  readonly record: ContainerRecord;
  /** Undefined with the host's network. */
  readonly key: string | undefined;
  readonly hostGatewayIp: string;
  /** Lines for what the container links to. */
  readonly linkedHosts?: string;
}

/** Empty ones where there are none yet: a mount needs something to mount. */
export function makeSandboxFiles(config: ShimConfig, id: string): void {
  for (const path of Object.values(sandboxFiles(config, id))) writeFileSync(path, '', { flag: 'a' });
}

/** Writes all three; called after the networks are joined, and again when they change. */
export function writeSandboxFiles(config: ShimConfig, facts: SandboxFacts): void {
  const files = sandboxFiles(config, facts.record.id);
  writeFileSync(files.hostname, `${facts.record.config.Hostname}\n`);
  writeFileSync(files.hosts, hostsText(facts));
  writeFileSync(files.resolvConf, resolvText(config, facts));
}

function hostsText({ record, key, hostGatewayIp, linkedHosts = '' }: SandboxFacts): string {
  if (key === undefined) return `${readFileSync('/etc/hosts', 'utf8')}${extraHosts(record, hostGatewayIp)}`;
  const lines = [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::\tip6-localnet',
    'ff00::\tip6-mcastprefix',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
  ];
  const { Hostname: host, Domainname: domain } = record.config;
  const own = domain ? `${host}.${domain} ${host}` : host;
  for (const { address, addressIPv6, hidden } of Object.values(record.endpoints)) {
    if (hidden) continue;
    for (const cidr of [address, addressIPv6]) if (cidr !== undefined) lines.push(`${bareIp(cidr)}\t${own}`);
  }
  return `${lines.join('\n')}\n${linkedHosts}${extraHosts(record, hostGatewayIp)}`;
}

/** `--add-host name:address`; `host-gateway` is the host as containers reach it. */
function extraHosts(record: ContainerRecord, hostGatewayIp: string): string {
  return (record.hostConfig.ExtraHosts ?? [])
    .map((entry) => {
      const at = entry.indexOf(':');
      const address = entry.slice(at + 1);
      return `${address === 'host-gateway' ? hostGatewayIp : address}\t${entry.slice(0, at)}\n`;
    })
    .join('');
}

function resolvText(config: ShimConfig, { record, key }: SandboxFacts): string {
  const host = parseResolvConf(readText('/etc/resolv.conf'));
  const { Dns, DnsSearch, DnsOptions } = record.hostConfig;
  const servers = [Dns, config.dns].find((list) => list.length > 0);
  const search = [DnsSearch, config.dnsSearch].find((list) => list.length > 0) ?? host.search;
  const options = [DnsOptions, config.dnsOptions].find((list) => list.length > 0) ?? host.options;
  if (key !== undefined && hasResolver(key))
    return formatResolvConf(
      [resolverAddress],
      search,
      options.some((option) => option.startsWith('ndots:')) ? options : [...options, 'ndots:0'],
    );
  // A server on the host's own loopback is none for a container with a network of its own.
  const usable = host.servers.filter((server) => key === undefined || !/^(127\.|::1$)/.test(server));
  return formatResolvConf(servers ?? usable, search, options);
}

function formatResolvConf(servers: readonly string[], search: readonly string[], options: readonly string[]): string {
  const domains = search.filter((domain) => domain !== '.');
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(domains.length > 0 ? [`search ${domains.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
}

function parseResolvConf(text: string) {
  const words = (keyword: string) =>
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([first]) => first === keyword)
      .map(([, ...rest]) => rest);
  return {
    servers: words('nameserver').flat(),
    search: words('search').at(-1) ?? [],
    options: words('options').flat(),
  };
}

/** Whether somebody (the network's driver) answers on 127.0.0.11 inside. Whoever it is, the container shall ask it. */
function hasResolver(key: string): boolean {
  using netns = openNetns(key);
  // /proc/thread-self/net shows the namespace of the calling thread.
  return inNetns(netns, () => readText('/proc/thread-self/net/udp').includes(resolverSocket));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
