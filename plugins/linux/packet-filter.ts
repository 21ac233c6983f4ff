/**
 * Programs of the classic packet filter that the kernel runs before a packet reaches its socket, so that the traffic of a busy
 * host does not wake us: struct sock_filter and sock_fprog, <linux/filter.h>. Offsets count from the IP header (datagram mode).
 */
import koffi from 'koffi';
import { check, libc, SOL_SOCKET } from './syscall.ts';

/** <asm-generic/socket.h> */
const SO_ATTACH_FILTER = 26;

/** BPF_LD | BPF_B | BPF_ABS and so on: loads, a comparison, a return. */
const loadByte = 0x30;
const loadHalf = 0x28;
const loadHalfIndexed = 0x48;
const indexByHeaderLength = 0xb1;
const jumpIfEqual = 0x15;
const jumpIfAnyBit = 0x45;
const returns = 0x06;
const whole = 0xffffffff;

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number];
export type PacketFilter = readonly Instruction[];

/** IPv4, UDP to the port, no later fragment. */
export function udpFilter(port: number): PacketFilter {
  return [
    [loadByte, 0, 0, 9],
    [jumpIfEqual, 0, 6, 17],
    [loadHalf, 0, 0, 6],
    [jumpIfAnyBit, 4, 0, 0x1fff],
    [indexByHeaderLength, 0, 0, 0],
    [loadHalfIndexed, 0, 0, 2],
    [jumpIfEqual, 0, 1, port],
    [returns, 0, 0, whole],
    [returns, 0, 0, 0],
  ];
}

/** IPv6 without extension headers, UDP to the port. */
export function udp6Filter(port: number): PacketFilter {
  return [
    [loadByte, 0, 0, 6],
    [jumpIfEqual, 0, 3, 17],
    [loadHalf, 0, 0, 42],
    [jumpIfEqual, 0, 1, port],
    [returns, 0, 0, whole],
    [returns, 0, 0, 0],
  ];
}

/** Neighbour solicitations and advertisements: ICMPv6 types 135 and 136, RFC 4861 §4.3 and §4.4. */
export function neighbourFilter(): PacketFilter {
  return [
    [loadByte, 0, 0, 6],
    [jumpIfEqual, 0, 4, 58],
    [loadByte, 0, 0, 40],
    [jumpIfEqual, 1, 0, 135],
    [jumpIfEqual, 0, 1, 136],
    [returns, 0, 0, whole],
    [returns, 0, 0, 0],
  ];
}

/** From now on the socket receives what the filter lets through. */
export function attachFilter(fd: number, filter: PacketFilter): void {
  const program = Buffer.alloc(filter.length * 8);
  filter.forEach(([code, jumpTrue, jumpFalse, value], index) => {
    program.writeUInt16LE(code, index * 8);
    program.writeUInt8(jumpTrue, index * 8 + 2);
    program.writeUInt8(jumpFalse, index * 8 + 3);
    program.writeUInt32LE(value, index * 8 + 4);
  });
  const header = Buffer.alloc(16);
  header.writeUInt16LE(filter.length, 0);
  header.writeBigUInt64LE(BigInt(koffi.address(program)), 8);
  check(libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, header, header.length), 'setsockopt', 'SO_ATTACH_FILTER');
}
