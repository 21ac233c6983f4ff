/**
 * From what the user asked for (`-p`) to what is published: every binding gets its host port, each host address family its way
 * (translated, routed, or through our proxy), and neighbouring ports that keep their numbers become one range. Pure: which
 * ports are free is asked of the caller.
 */

import { PluginError } from '../../sdk/errors.ts';
import type { PortBinding, TransportProtocol } from '../../sdk/network-plugin.ts';
import { findIp, formatIp } from '../address/ip.ts';
import type { Family, PortRule } from './rules.ts';

/**
 * nat: translated by the kernel. routed: the container's own address is opened, there is no host port. proxy: from the host's
 * IPv6 to a container that has IPv4 only, which no kernel translation can do.
 */
export type PublishVia = 'nat' | 'routed' | 'proxy';

/** One published port or range. Invariant: a range (`hostPortEnd` above `hostPort`) keeps its numbers. */
export interface PublishedPort {
  readonly protocol: TransportProtocol;
  /** Of the host address. */
  readonly family: Family;
  /** `''`: every address of the host in this family. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly hostPortEnd: number;
  readonly containerAddress: string;
  readonly containerPort: number;
  readonly via: PublishVia;
}

/** Where a binding listens: a family, one address of it or all. */
export interface HostScope {
  readonly family: Family;
  /** `''`: every address of the family. */
  readonly address: string;
}

export interface PublishTarget {
  /** Bare IPs of the endpoint. */
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly routed4: boolean;
  readonly routed6: boolean;
  /** Host address for bindings that name none; `''`: all. An IPv4 address leaves IPv6 unpublished, as Docker does. */
  readonly defaultHostAddress: string;
  /** false: the host's IPv6 is not carried to a container that has only IPv4. */
  readonly proxy6To4: boolean;
}

/** The ports that may be chosen for a binding, first to last; `from` is where to begin (it wraps around). */
export interface PortChoice {
  readonly protocol: TransportProtocol;
  readonly scopes: readonly HostScope[];
  readonly first: number;
  readonly last: number;
  /** What the user asked for: an exact port, one of a range, or any. */
  readonly kind: 'exact' | 'range' | 'any';
}

/** Answers a free port of the choice and keeps it, or throws PluginError. */
export type ChoosePort = (choice: PortChoice) => number;

/** Host ports for all bindings, coalesced and sorted. Exact requests are served before those that can take another port. */
export function resolveBindings(
  bindings: readonly PortBinding[],
  target: PublishTarget,
  ephemeral: { readonly first: number; readonly last: number },
  choose: ChoosePort,
): PublishedPort[] {
  const published: PublishedPort[] = [];
  const order = { exact: 0, range: 1, any: 2 };
  const asked = distinct(bindings).map((binding) => ({ binding, kind: choiceKind(binding) }));
  // Engines send them in random order; the same command shall give the same ports.
  asked.sort(
    (a, b) =>
      order[a.kind] - order[b.kind] ||
      a.binding.hostPort - b.binding.hostPort ||
      a.binding.containerPort - b.binding.containerPort ||
      (a.binding.protocol < b.binding.protocol ? -1 : 1),
  );
  // Thousands of ports share few host addresses.
  const known = new Map<string, Ways>();
  for (const { binding, kind } of asked) {
    let ways = known.get(binding.hostIp);
    if (!ways) {
      ways = waysIn(binding.hostIp, target);
      known.set(binding.hostIp, ways);
    }
    const { scopes } = ways;
    const { protocol, containerPort } = binding;
    const [first, last] = kind === 'any' ? [ephemeral.first, ephemeral.last] : [binding.hostPort, binding.hostPortEnd];
    const hostPort = scopes.length === 0 ? containerPort : choose({ protocol, scopes, first, last, kind });
    for (const { family, address: hostAddress, via, containerAddress } of ways.all) {
      const port = via === 'routed' ? containerPort : hostPort;
      published.push({
        protocol,
        family,
        hostAddress,
        hostPort: port,
        hostPortEnd: port,
        containerAddress,
        containerPort,
        via,
      });
    }
  }
  return coalesce(published);
}

/** Ports next to each other that keep their numbers become one. Sorted, so that records read well. */
export function coalesce(ports: readonly PublishedPort[]): PublishedPort[] {
  const groups = Map.groupBy(
    ports,
    ({ via, family, hostAddress, protocol, containerAddress }) =>
      `${via} ${family} ${hostAddress} ${protocol} ${containerAddress}`,
  );
  const result: PublishedPort[] = [];
  for (const group of groups.values()) {
    let run: PublishedPort | undefined;
    let end = 0;
    const close = () => {
      if (run) result.push(end === run.hostPort ? run : { ...run, hostPortEnd: end });
    };
    for (const port of group.toSorted((a, b) => a.hostPort - b.hostPort || a.containerPort - b.containerPort)) {
      const goesOn =
        port.hostPort === end + 1 && port.hostPort === port.containerPort && run?.hostPort === run?.containerPort;
      if (!run || !goesOn) {
        close();
        run = port;
      }
      end = port.hostPortEnd;
    }
    close();
  }
  return result;
}

/** What a published port means for packets. */
export function portRules(port: PublishedPort): PortRule[] {
  const { family, hostAddress, containerAddress, containerPort, protocol, via } = port;
  const span = { family, protocol, first: port.hostPort, last: port.hostPortEnd };
  if (via === 'routed') return [{ kind: 'open', at: containerAddress, ...span }];
  // [::1] is never passed on by the kernel: an answer to it is refused on every interface but lo (RFC 4291 §2.5.3).
  const loopback: PortRule = { kind: 'loopback', ...span };
  const proxied = protocol !== 'sctp';
  if (family === 6 && hostAddress === '::1') return proxied ? [loopback] : [];
  const at = hostAddress === '' ? {} : { at: hostAddress };
  const own: PortRule =
    via === 'proxy'
      ? { kind: 'proxied', ...at, ...span }
      : { kind: 'publish', ...at, ...span, to: { address: containerAddress, port: containerPort } };
  return family === 6 && hostAddress === '' && proxied ? [own, loopback] : [own];
}

function choiceKind({ hostPort, hostPortEnd }: PortBinding): PortChoice['kind'] {
  if (hostPort === 0) return 'any';
  return hostPortEnd > hostPort ? 'range' : 'exact';
}

interface WayIn extends HostScope {
  readonly via: PublishVia;
  readonly containerAddress: string;
}

interface Ways {
  readonly all: readonly WayIn[];
  /** Where a port of the host is taken. */
  readonly scopes: readonly HostScope[];
}

/** The ways into the container from one host address; none when the container lacks the family. */
function waysIn(hostIp: string, target: PublishTarget): Ways {
  const all = hostScopes(hostIp, target.defaultHostAddress).flatMap((scope): WayIn[] => {
    const address = scope.family === 4 ? target.ipv4 : target.ipv6;
    const routed = scope.family === 4 ? target.routed4 : target.routed6;
    if (address !== undefined) return [{ ...scope, via: routed ? 'routed' : 'nat', containerAddress: address }];
    if (scope.family === 4 || target.ipv4 === undefined || !target.proxy6To4 || target.routed4) return [];
    return [{ ...scope, via: 'proxy', containerAddress: target.ipv4 }];
  });
  const scopes = all.filter(({ via }) => via !== 'routed').map(({ family, address }) => ({ family, address }));
  return { all, scopes };
}

function hostScopes(hostIp: string, defaultHostAddress: string): HostScope[] {
  const text = hostIp || defaultHostAddress;
  if (text === '')
    return [
      { family: 4, address: '' },
      { family: 6, address: '' },
    ];
  const ip = findIp(text);
  if (!ip) {
    throw new PluginError('NET_PORT_ADDRESS', `host address "${text}" of a published port is no IP address`, {
      hint: 'give an address of this host, as in -p 192.0.2.1:8080:80',
    });
  }
  // 0.0.0.0 and :: mean every address of that one family.
  return [{ family: ip.family, address: ip.value === 0n ? '' : formatIp(ip) }];
}

function distinct(bindings: readonly PortBinding[]): PortBinding[] {
  const key = ({ protocol, hostIp, hostPort, hostPortEnd, containerPort }: PortBinding) =>
    `${protocol} ${hostIp} ${hostPort} ${hostPortEnd} ${containerPort}`;
  return [...new Map(bindings.map((binding) => [key(binding), binding])).values()];
}
