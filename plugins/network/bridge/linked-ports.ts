/**
 * `cleat.link`: ports of other containers that this one may reach although traffic between containers is off, as Docker's
 * `--link` opens them. Pure.
 *
 * With `enable_icc=false` no frame goes from one container to another: their ports of the bridge are isolated. The bridge
 * answers ARP for all of them (proxy_arp_pvlan, Documentation/networking/ip-sysctl.rst), so packets between them pass the host,
 * whose forward chain admits what is linked, and answers to it. IPv4 only, as Docker's links are.
 */
import { parseInterfaceAddress } from '../address/cidr.ts';
import { formatIp } from '../address/ip.ts';
import type { PortRule } from '../publish/rules.ts';

export interface LinkedPort {
  readonly address: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
}

export const linkWords = 'ADDRESS:PORT/PROTOCOL, several with commas between them, as in "192.0.2.5:5432/tcp"';

/** Undefined for what is none. */
export function findLinkedPorts(text: string): LinkedPort[] | undefined {
  const ports = text.split(',').map(findLinkedPort);
  return ports.every((port) => port !== undefined) ? ports : undefined;
}

function findLinkedPort(text: string): LinkedPort | undefined {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})\/(tcp|udp|sctp)$/.exec(text);
  if (match === null) return undefined;
  const [, address = '', port = '', protocol] = match;
  if (Number(port) < 1 || Number(port) > 65535 || address.split('.').some((part) => Number(part) > 255))
    return undefined;
  return { address, port: Number(port), protocol: protocol as LinkedPort['protocol'] };
}

/** From the endpoint's address (CIDR) to each port. */
export function linkRules(address: string | undefined, ports: readonly LinkedPort[]): PortRule[] {
  if (address === undefined) return [];
  const from = formatIp(parseInterfaceAddress(address).ip);
  return ports.map(({ address: at, port, protocol }) => ({
    kind: 'link',
    family: 4,
    from,
    at,
    protocol,
    first: port,
    last: port,
  }));
}

/** Whose rules they are; the endpoint's id alone owns its published ports. */
export function linkOwner(endpointId: string): string {
  return `links of ${endpointId}`;
}
