/**
 * `cleat overlay trace`: the way of a frame from one container to another as the kernel of this host has it, link by link and
 * entry by entry, and what of it is missing. Only reads; what the other host does with the frame, its own trace tells.
 */
import { isKernelError } from '../../linux/errors.ts';
import { findLink, type Link, listLinks } from '../../linux/netlink/link.ts';
import { listFdb, listNeighbours } from '../../linux/netlink/neighbour.ts';
import { getRoute } from '../../linux/netlink/route.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { hostEndName, vxlanName } from '../link/names.ts';
import type { PeerStatus } from './control-plane.ts';
import { asKernel } from './forwarding.ts';
import type { Member, Place } from './member.ts';
import type { Planes } from './planes.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

export interface TraceStep {
  readonly step: string;
  /** Link, entry or route, as ip(8) and bridge(8) name it. */
  readonly what: string;
  /** What is wrong; empty: as it must be. */
  readonly missing: string;
}

export interface TraceParts {
  readonly socket: RouteSocket;
  readonly members: Iterable<Member>;
  readonly planes: Pick<Planes, 'peers'>;
  readonly tunnel: Tunnel;
}

export interface TraceQuery {
  /** Addresses or names of containers. */
  readonly from: string;
  readonly to: string;
  /** Name among the hosts; left out: the first network that has both. */
  readonly network?: string;
}

/** Throws NET_ENDPOINT_UNKNOWN when no network has both, and PROTO_UNSUPPORTED when the frame does not begin here. */
export function trace(parts: TraceParts, { from, to, network }: TraceQuery): TraceStep[] {
  const members = [...parts.members].filter(({ options }) => (network ?? options.name) === options.name);
  for (const member of members) {
    const source = member.find(from);
    const target = source && member.find(to, source.address.includes(':'));
    if (!source || !target) continue;
    if (source.host !== undefined) {
      throw new PluginError(
        'PROTO_UNSUPPORTED',
        `${from} is on ${source.hostName} (${source.host}), not on this host`,
        {
          hint: `run it there, or the other way round: cleat overlay trace ${to} ${from}`,
        },
      );
    }
    return steps(parts, member, source, target);
  }
  const known = members.some((member) => member.find(from)) ? to : from;
  throw new PluginError('NET_ENDPOINT_UNKNOWN', `no overlay network of this host knows ${known}`, {
    hint: 'give the address or the name of a container; `cleat overlay peers` tells which hosts are heard',
  });
}

function steps({ socket, planes, tunnel }: TraceParts, member: Member, source: Place, target: Place): TraceStep[] {
  const out: TraceStep[] = [];
  const note = (step: string, what: string, missing: string | false = '') =>
    out.push({ step, what, missing: missing || '' });
  const bridge = findLink(socket, member.plan.bridge);
  const port = findLink(socket, hostEndName(source.endpointId));
  note('container', `${source.address} ${source.mac}`);
  note('port', hostEndName(source.endpointId), portProblem(port, bridge));
  note('bridge', member.plan.bridge, bridge ? !bridge.up && 'it is down' : 'there is no such link');
  if (!bridge) return out;
  if (target.host === undefined) {
    const end = findLink(socket, hostEndName(target.endpointId));
    note('port', hostEndName(target.endpointId), portProblem(end, bridge));
    note('container', `${target.address} ${target.mac}`);
    return out;
  }
  const address = asKernel(target.address);
  const nextHop = member.directWay(target.host, address);
  const answer = nextHop === undefined ? target.mac : bridge.mac;
  const neighbour = listNeighbours(socket, { link: bridge.index }).find((one) => one.address === address);
  note(
    'neighbour',
    `${address} lladdr ${answer} dev ${bridge.name}`,
    wrong(neighbour?.mac, answer, 'no entry: the question goes to all hosts'),
  );
  const peer = planes.peers().find((one) => one.peer === target.host);
  const arrive = () => {
    note('host', `${target.hostName} ${target.host}`, hostProblem(peer));
    note('container', `${target.address} ${target.mac}`);
    return out;
  };
  if (nextHop !== undefined) {
    const proxies = listNeighbours(socket, { link: bridge.index, proxy: true });
    const found = proxies.some((one) => one.address === address);
    note('proxy', `${address} dev ${bridge.name}`, !found && 'no entry: nobody answers for the address');
    noteRoute(note, socket, [address], nextHop);
    return arrive();
  }
  const cx = vxlanName(member.options.vni);
  const vxlan = findLink(socket, cx);
  const fdb = vxlan ? listFdb(socket, { link: vxlan.index }).filter(({ mac }) => mac === target.mac) : [];
  note(
    'bridge FDB',
    `${target.mac} dev ${cx} master`,
    !fdb.some(({ table }) => table === 'master') && 'no entry: the frame goes to all ports',
  );
  note(
    'VXLAN',
    `${cx} VNI ${member.options.vni} port ${member.options.port} mtu ${vxlan?.mtu ?? '-'}`,
    portProblem(vxlan, bridge),
  );
  const vtep = member.vtepOf(target.host);
  const entry = fdb.find(({ table }) => table === 'self')?.destination;
  note('VXLAN FDB', `${target.mac} dst ${vtep}`, wrong(entry, vtep, 'no entry: the frame goes to all hosts'));
  if (member.options.encrypted) noteTunnel(note, tunnel, target.host);
  noteRoute(note, socket, member.options.encrypted ? [vtep, target.host] : [target.host]);
  return arrive();
}

type Note = (step: string, what: string, missing?: string | false) => void;

function noteTunnel(note: Note, tunnel: Tunnel, host: string): void {
  const status = tunnel.status(host);
  const missing =
    status === undefined ? 'its key is not known' : status.handshakeMs === undefined && 'no hands were shaken yet';
  note('tunnel', `WireGuard (${tunnel.kind}) to ${status?.endpoint ?? host}`, missing);
}

/** `by`: the next hop that there must be. */
function noteRoute(note: Note, socket: RouteSocket, destinations: readonly string[], by?: string): void {
  const names = new Map(listLinks(socket).map(({ index, name }) => [index, name]));
  for (const destination of destinations) {
    try {
      const { gateway, link, source } = getRoute(socket, destination);
      const way = [gateway && `via ${gateway}`, `dev ${names.get(link ?? 0) ?? '-'}`, source && `src ${source}`];
      const missing = by !== undefined && gateway !== by && `it does not go by ${by}`;
      note('route', [destination, ...way].filter(Boolean).join(' '), missing);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      note('route', destination, 'it is unreachable');
    }
  }
}

function portProblem(link: Link | undefined, bridge: Link | undefined): string | false {
  if (!link) return 'there is no such link';
  if (bridge && link.master !== bridge.index) return `it is no port of ${bridge.name}`;
  return !link.up && 'it is down';
}

function wrong(found: string | undefined, wanted: string, without: string): string | false {
  return found === undefined ? without : found !== wanted && `it says ${found}`;
}

function hostProblem(peer: PeerStatus | undefined): string | false {
  if (!peer) return 'nothing is told to it';
  if (peer.heardMs === undefined) return 'it was not heard';
  return peer.state !== 'connected' && peer.state;
}
