/**
 * Reads a query in place, without allocating: the first thing that happens to every packet. One object is used again and
 * again. What is not an ordinary question (odd class, several questions, broken EDNS …) is told by the verdict; the
 * careful path then looks at it again at leisure.
 *
 *     header 12 | name … 0 | type 2 | class 2 | [ OPT: 0, 41, size 2, extended rcode, version, flags 2, length 2, options ]
 */
import { randomInt } from 'node:crypto';
import {
  classes,
  ednsUdpSize,
  flagCd,
  flagQr,
  flagRd,
  headerLength,
  maxLabelLength,
  maxNameLength,
  plainUdpSize,
  types,
} from './wire.ts';

/**
 * plain: one question of class IN, at most an OPT record of version 0 behind it. odd: a query that needs an answer of another
 * kind. broken: the header is there, the rest makes no sense (FORMERR). ignored: a response, or less than a header: answering
 * those would let two servers talk for ever.
 */
export type Verdict = 'plain' | 'odd' | 'broken' | 'ignored';

/** FNV-1a starts here; random per process, so that nobody can choose names that share a slot. */
const hashSeed = randomInt(0x1_0000_0000) | 0;
const fnvPrime = 0x01000193;

export class Query {
  /** Offset of the first byte after the question, from the start of the message. */
  questionEnd = headerLength;
  type = 0;
  class = 0;
  /** Of lower-case name, type and DO bit; -1 where the question has none to be found by. */
  hash = -1;
  hasEdns = false;
  ednsVersion = 0;
  dnssecOk = false;
  /** What fits into one UDP reply. */
  udpLimit = plainUdpSize;
  recursionDesired = false;
  checkingDisabled = false;

  /** Looks at `length` bytes of `message` from `start`. */
  read(message: Uint8Array, start: number, length: number): Verdict {
    this.questionEnd = headerLength;
    this.hash = -1;
    this.type = 0;
    this.class = 0;
    this.hasEdns = false;
    this.ednsVersion = 0;
    this.dnssecOk = false;
    this.udpLimit = plainUdpSize;
    if (length < headerLength) return 'ignored';
    const flags = message[start + 2]!;
    if ((flags & flagQr) !== 0) return 'ignored';
    this.recursionDesired = (flags & flagRd) !== 0;
    this.checkingDisabled = (message[start + 3]! & flagCd) !== 0;
    // Opcode QUERY, one question, no answers: anything else is not for the short way.
    if ((flags & 0x78) !== 0) return 'odd';
    if (message[start + 4] !== 0 || message[start + 5] !== 1) return 'odd';
    if (
      (message[start + 6]! | message[start + 7]! | message[start + 8]! | message[start + 9]! | message[start + 10]!) !==
      0
    ) {
      return 'odd';
    }
    const end = start + length;
    let at = start + headerLength;
    let hash = hashSeed;
    for (;;) {
      if (at >= end) return 'broken';
      const size = message[at]!;
      hash = Math.imul(hash ^ size, fnvPrime);
      at++;
      if (size === 0) break;
      // A pointer in the first name of a message has nothing before it to point to.
      if (size > maxLabelLength || at + size > end) return 'broken';
      for (const labelEnd = at + size; at < labelEnd; at++) {
        let byte = message[at]!;
        if (byte >= 0x41 && byte <= 0x5a) byte += 0x20;
        hash = Math.imul(hash ^ byte, fnvPrime);
      }
    }
    if (at - start - headerLength > maxNameLength || at + 4 > end) return 'broken';
    this.type = (message[at]! << 8) | message[at + 1]!;
    this.class = (message[at + 2]! << 8) | message[at + 3]!;
    at += 4;
    this.questionEnd = at - start;
    const additional = message[start + 11]!;
    if (additional === 1) {
      const verdict = this.#readOpt(message, at, end);
      if (verdict !== 'plain') return verdict;
    } else if (additional !== 0 || at !== end) {
      return 'odd';
    }
    if (this.class !== classes.IN) return 'odd';
    this.hash = finishHash(hash, this.type, this.dnssecOk);
    return 'plain';
  }

  /** RFC 6891 §6.1.2. `at` is where the additional record begins. */
  #readOpt(message: Uint8Array, at: number, end: number): Verdict {
    if (at + 11 > end) return 'broken';
    if (message[at] !== 0 || message[at + 1] !== 0 || message[at + 2] !== types.OPT) return 'odd';
    const size = (message[at + 3]! << 8) | message[at + 4]!;
    this.hasEdns = true;
    this.ednsVersion = message[at + 6]!;
    this.dnssecOk = (message[at + 7]! & 0x80) !== 0;
    // RFC 6891 §6.2.3: less than 512 counts as 512.
    this.udpLimit = Math.min(Math.max(size, plainUdpSize), ednsUdpSize);
    const optionsLength = (message[at + 9]! << 8) | message[at + 10]!;
    if (at + 11 + optionsLength > end) return 'broken';
    if (this.ednsVersion !== 0 || at + 11 + optionsLength !== end) return 'odd';
    return 'plain';
  }
}

function finishHash(nameHash: number, type: number, dnssecOk: boolean): number {
  let hash = Math.imul(nameHash ^ (type & 0xff), fnvPrime);
  hash = Math.imul(hash ^ ((type >> 8) | (dnssecOk ? 0x100 : 0)), fnvPrime);
  // Avalanche, so that the low bits that a hash table uses depend on every byte.
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) & 0x3fffffff;
}

/** Query.hash of a question that is given by its key. */
export function keyHash(key: Uint8Array, dnssecOk: boolean): number {
  const nameEnd = key.length - 2;
  let hash = hashSeed;
  for (let i = 0; i < nameEnd; i++) hash = Math.imul(hash ^ key[i]!, fnvPrime);
  return finishHash(hash, (key[nameEnd]! << 8) | key[nameEnd + 1]!, dnssecOk);
}

export function sameKey(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/** Whether the question's name and type in `message` are those of a key: lower-case name in wire form, then the type. */
export function sameQuestion(key: Uint8Array, message: Uint8Array, start: number, questionEnd: number): boolean {
  const length = key.length;
  if (questionEnd - headerLength - 2 !== length) return false;
  const base = start + headerLength;
  for (let i = 0; i < length - 2; i++) {
    let byte = message[base + i]!;
    // Label lengths are below 64, so the case rule cannot touch them.
    if (byte >= 0x41 && byte <= 0x5a) byte += 0x20;
    if (byte !== key[i]) return false;
  }
  return message[base + length - 2] === key[length - 2] && message[base + length - 1] === key[length - 1];
}

/** The key of a question as it stands in a message. */
export function questionKey(message: Uint8Array, start: number, questionEnd: number): Uint8Array {
  // Of a plain Uint8Array, up to 64 bytes are part of the object itself: half the memory of a Buffer.
  const key = new Uint8Array(questionEnd - headerLength - 2);
  for (let i = 0; i < key.length; i++) {
    const byte = message[start + headerLength + i]!;
    key[i] = i < key.length - 2 && byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
  }
  return key;
}
