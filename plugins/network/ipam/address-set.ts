/**
 * A set of numbers from a very large range (a /8 has 2^24 addresses, a /64 has 2^64) that answers "which is the first free one
 * from here on" in O(log n), for any pattern of holes.
 *
 *     level 0    [ 32 bits: which 32nd of the range is full ]──┐
 *     level 1        [ 32 bits ]                        [ 32 bits ]
 *     …                                                     └─ last level: one bit a number
 *
 * A tree with 32 ways; a node keeps one bit for each part that is full. A full part has no node of its own and an empty one
 * has none either, so memory goes with the numbers held (and 2^24 neighbours take a handful of nodes).
 */
const digitBits = 5n;
const ways = 32;
const allFull = -1;

interface Node {
  /** Bit n: part n is full. On the last level: number n is in the set. */
  full: number;
  /** Parts that are neither full nor empty. */
  readonly children: Map<number, Node>;
}

export class AddressSet {
  readonly #depth: number;
  #root: Node = newNode(0);
  #size = 0;

  /** Holds numbers from 0 to 2^bits - 1. */
  constructor(bits: number) {
    this.#depth = Math.max(1, Math.ceil(bits / Number(digitBits)));
  }

  get size(): number {
    return this.#size;
  }

  has(number: bigint): boolean {
    let node: Node | undefined = this.#root;
    for (const digit of this.#digits(number)) {
      if (isSet(node.full, digit)) return true;
      node = node.children.get(digit);
      if (node === undefined) return false;
    }
    return false;
  }

  /** Whether it was new. */
  add(number: bigint): boolean {
    const digits = this.#digits(number);
    const path: Node[] = [];
    let node = this.#root;
    for (const digit of digits) {
      if (isSet(node.full, digit)) return false;
      path.push(node);
      if (path.length === this.#depth) break;
      let child = node.children.get(digit);
      if (child === undefined) {
        child = newNode(0);
        node.children.set(digit, child);
      }
      node = child;
    }
    // A part that has become full is a bit of its parent and nothing more.
    for (let level = this.#depth - 1; level >= 0; level--) {
      const parent = path[level]!;
      parent.full |= 1 << digits[level]!;
      parent.children.delete(digits[level]!);
      if (parent.full !== allFull) break;
    }
    this.#size++;
    return true;
  }

  /** Whether it was there. */
  delete(number: bigint): boolean {
    if (!this.has(number)) return false;
    const digits = this.#digits(number);
    const path: Node[] = [];
    let node = this.#root;
    for (const digit of digits) {
      path.push(node);
      if (path.length === this.#depth) break;
      let child = node.children.get(digit);
      if (child === undefined) {
        child = newNode(allFull);
        node.full &= ~(1 << digit);
        node.children.set(digit, child);
      }
      node = child;
    }
    node.full &= ~(1 << digits[this.#depth - 1]!);
    for (let level = this.#depth - 1; level > 0 && isEmpty(path[level]!); level--) {
      path[level - 1]!.children.delete(digits[level - 1]!);
    }
    this.#size--;
    return true;
  }

  /** The lowest number of `from`..`last` that is not in the set. */
  firstFree(from: bigint, last: bigint): bigint | undefined {
    if (from > last) return undefined;
    const digits = this.#digits(from);
    if (!this.#findFree(this.#root, 0, digits, true)) return undefined;
    const found = digits.reduce((value, digit) => (value << digitBits) | BigInt(digit), 0n);
    return found <= last ? found : undefined;
  }

  /**
   * Turns `digits` into the first free number that is not below it; false when this part has none. `bound`: the digits so
   * far are those of the start, so the rest of the start still counts.
   */
  #findFree(node: Node, level: number, digits: number[], bound: boolean): boolean {
    const start = bound ? digits[level]! : 0;
    for (let digit = nextClear(node.full, start); digit < ways; digit = nextClear(node.full, digit + 1)) {
      const stillBound = bound && digit === start;
      digits[level] = digit;
      if (!stillBound) digits.fill(0, level + 1);
      const child = level + 1 < this.#depth ? node.children.get(digit) : undefined;
      if (child === undefined || this.#findFree(child, level + 1, digits, stillBound)) return true;
    }
    return false;
  }

  /** Most significant first. */
  #digits(number: bigint): number[] {
    const digits = new Array<number>(this.#depth);
    let rest = number;
    for (let level = this.#depth - 1; level >= 0; level--) {
      digits[level] = Number(rest & 31n);
      rest >>= digitBits;
    }
    return digits;
  }
}

function newNode(full: number): Node {
  return { full, children: new Map() };
}

function isEmpty(node: Node): boolean {
  return node.full === 0 && node.children.size === 0;
}

function isSet(bits: number, digit: number): boolean {
  return (bits & (1 << digit)) !== 0;
}

/** The lowest bit from `start` on that is 0; 32 when there is none. */
function nextClear(bits: number, start: number): number {
  if (start >= ways) return ways;
  const clear = ~bits & (allFull << start);
  return clear === 0 ? ways : 31 - Math.clz32(clear & -clear);
}
