/** Which ports of this host are taken by sockets, and by whose: /proc/net/{tcp,tcp6,udp,udp6} and the descriptors in /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { ipText } from './netlink/address-bytes.ts';

export interface BoundSocket {
  readonly family: 4 | 6;
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

/** TCP_LISTEN; an unconnected UDP socket shows TCP_CLOSE. <net/tcp_states.h> */
const waiting = { tcp: '0A', udp: '07' } as const;

/** TCP sockets that listen, UDP sockets that receive from anybody, in the caller's namespace. */
export function listBoundSockets(protocol: 'tcp' | 'udp'): BoundSocket[] {
  return ([4, 6] as const).flatMap((family) => {
    const lines = readLines(`/proc/thread-self/net/${protocol}${family === 6 ? '6' : ''}`);
    return lines.flatMap((line) => {
      // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
      const fields = line.trim().split(/\s+/);
      const [address = '', port = ''] = fields[1]?.split(':') ?? [];
      if (fields[3] !== waiting[protocol] || port === '') return [];
      return [
        { family, address: ipText(hostOrder(address)), port: Number.parseInt(port, 16), inode: fields[9] ?? '0' },
      ];
    });
  });
}

/** A socket that stands in the way of binding to the address and port. */
export function findBoundSocket(protocol: 'tcp' | 'udp', address: string, port: number): BoundSocket | undefined {
  const any = (text: string) => text === '0.0.0.0' || text === '::';
  const family = address.includes(':') ? 6 : 4;
  return listBoundSockets(protocol).find((socket) => {
    if (socket.port !== port) return false;
    // A socket on [::] usually takes the port for IPv4 as well.
    if (socket.family !== family) return socket.address === '::';
    return any(address) || any(socket.address) || socket.address === address;
  });
}

/** `nginx (pid 812)`; `a process that this one cannot see` in another process namespace. */
export function describeSocketOwner(socket: BoundSocket): string {
  const owner = findSocketOwner(socket);
  if (!owner) return 'a process that this one cannot see';
  return `${readLines(`/proc/${owner.pid}/comm`)[0] ?? 'a process'} (pid ${owner.pid})`;
}

export interface SocketOwner {
  readonly pid: number;
  /** Of that process. */
  readonly fd: number;
}

/** Reads the descriptors of all processes: some milliseconds. */
export function findSocketOwner({ inode }: BoundSocket): SocketOwner | undefined {
  const link = `socket:[${inode}]`;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const fd = findDescriptor(pid, link);
    if (fd !== undefined) return { pid: Number(pid), fd: Number(fd) };
  }
  return undefined;
}

function findDescriptor(pid: string, link: string): string | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).find((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === link;
      } catch {
        return false;
      }
    });
  } catch {
    // It ended while we looked, or is not ours to look at.
    return undefined;
  }
}

/** The kernel prints addresses as 32-bit numbers of the machine's own byte order. */
function hostOrder(hex: string): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  return bytes;
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}
