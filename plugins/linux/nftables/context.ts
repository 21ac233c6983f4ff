/**
 * nftables in this process, by libnftables.so.1: the language of nft(8) in, its JSON out, one transaction for each run. An
 * element of a map costs 0.1 ms at any size; `elements.ts` is ten times quicker where only elements change.
 */
import { writeFileSync } from 'node:fs';
import koffi from 'koffi';
import { inNetns, type Netns, ownNetns } from '../netns.ts';
import { check, closeFd, libc, MFD_CLOEXEC } from '../syscall.ts';
import { NftError } from './error.ts';
import { FD_SETSIZE, keepLowDescriptors, openLow } from './low-descriptors.ts';

const soname = 'libnftables.so.1';
// <fcntl.h>
const F_DUPFD_CLOEXEC = 1030;
// <nftables/libnftables.h>
const NFT_CTX_OUTPUT_STATELESS = 1 << 2;
const NFT_CTX_OUTPUT_HANDLE = 1 << 3;
const NFT_CTX_OUTPUT_JSON = 1 << 4;
const NFT_CTX_OUTPUT_NUMERIC_ALL = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10);
const NFT_CTX_OUTPUT_TERSE = 1 << 11;

type Context = object;

interface Library {
  create(flags: number): Context;
  free(context: Context): void;
  bufferOutput(context: Context): number;
  bufferError(context: Context): number;
  output(context: Context): string;
  error(context: Context): string;
  run(context: Context, text: string): number;
  runFile(context: Context, path: string): number;
  setOutputFlags(context: Context, flags: number): void;
  setDryRun(context: Context, on: boolean): void;
}

let loaded: Library | undefined;

function library(): Library {
  if (loaded) return loaded;
  const nft = koffi.load(soname);
  loaded = {
    create: nft.func('void *nft_ctx_new(uint32_t)'),
    free: nft.func('void nft_ctx_free(void *)'),
    bufferOutput: nft.func('int nft_ctx_buffer_output(void *)'),
    bufferError: nft.func('int nft_ctx_buffer_error(void *)'),
    output: nft.func('const char *nft_ctx_get_output_buffer(void *)'),
    error: nft.func('const char *nft_ctx_get_error_buffer(void *)'),
    run: nft.func('int nft_run_cmd_from_buffer(void *, str)'),
    runFile: nft.func('int nft_run_cmd_from_filename(void *, str)'),
    setOutputFlags: nft.func('void nft_ctx_output_set_flags(void *, uint)'),
    setDryRun: nft.func('void nft_ctx_set_dry_run(void *, bool)'),
  };
  return loaded;
}

export function hasLibrary(): boolean {
  try {
    library();
    return true;
  } catch {
    return false;
  }
}

/**
 * Why nftables cannot be used here: the library or something in the kernel is missing; undefined when all is there. Tries it: a
 * table of the family inet with maps and address translation is made and removed in one transaction.
 */
export function nftablesProblem(netns?: Netns): string | undefined {
  if (!hasLibrary()) return `${soname} is not installed`;
  try {
    using nft = new Nftables(netns);
    nft.run(probe);
    return undefined;
  } catch (error) {
    return `the kernel refuses tables: ${(error as Error).message.split('\n')[0]}`;
  }
}

const probe = `table inet cleat-probe {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  chain in { type nat hook prerouting priority 0; fib daddr type local dnat ip to meta l4proto . th dport map @ports; }
  chain out { type nat hook postrouting priority 0; masquerade; }
}
delete table inet cleat-probe`;

/** One object of nft's JSON, libnftables-json(5): `{ table: … }`, `{ chain: … }`, `{ rule: … }`, `{ set: … }`, `{ map: … }` … */
export type NftObject = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface ListOptions {
  /** Without the elements of sets and maps, which makes big tables quick to list. */
  readonly terse?: boolean;
  /** With counters and other state; without by default. */
  readonly stateful?: boolean;
}

/** For one namespace, the caller's by default. Runs are synchronous. The opener closes it. */
export class Nftables {
  readonly #netns: Netns;
  readonly #context: Context;
  readonly #socket: number | undefined;
  #open = true;

  constructor(netns?: Netns) {
    this.#netns = netns?.duplicate() ?? ownNetns();
    try {
      // The library opens its netlink socket here …
      const { value, fd } = inNetns(this.#netns, () => openLow(() => library().create(0)));
      this.#context = value;
      this.#socket = fd;
    } catch (error) {
      this.#netns.close();
      throw error;
    }
    library().bufferOutput(this.#context);
    library().bufferError(this.#context);
  }

  /** Runs commands as one transaction: all of them or none. Returns what they print. */
  run(commands: string): string {
    return this.#execute(commands, NFT_CTX_OUTPUT_NUMERIC_ALL);
  }

  /** Parses and evaluates against what is loaded, and changes nothing. Throws what `run` would throw up to the kernel. */
  dryRun(commands: string): void {
    library().setDryRun(this.#context, true);
    try {
      this.#execute(commands, 0);
    } finally {
      library().setDryRun(this.#context, false);
    }
  }

  /** Objects that a list command shows, numbers instead of names: `list table inet cleat`, `list ruleset`. */
  list(command: string, { terse = false, stateful = false }: ListOptions = {}): NftObject[] {
    const flags =
      NFT_CTX_OUTPUT_JSON |
      NFT_CTX_OUTPUT_HANDLE |
      NFT_CTX_OUTPUT_NUMERIC_ALL |
      (terse ? NFT_CTX_OUTPUT_TERSE : 0) |
      (stateful ? 0 : NFT_CTX_OUTPUT_STATELESS);
    const { nftables } = JSON.parse(this.#execute(command, flags)) as { nftables: NftObject[] };
    return nftables.filter((object) => !('metainfo' in object));
  }

  /** The same as text, without handles and counters: for golden files and for people. */
  listText(command: string): string {
    return this.#execute(command, NFT_CTX_OUTPUT_STATELESS);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    library().free(this.#context);
    keepLowDescriptors();
    this.#netns.close();
  }

  /**
   * Closes this, but not the socket that tables with `flags owner` belong to: they stay until the returned object is closed, or
   * the process ends. The socket moves to a number that nobody is short of.
   */
  closeButKeepTables(): { close(): void } {
    if (this.#socket === undefined) return this;
    const high = libc.fcntl(this.#socket, F_DUPFD_CLOEXEC, FD_SETSIZE);
    // EINVAL where the process may not have that many; then any number.
    const fd = high >= 0 ? high : check(libc.fcntl(this.#socket, F_DUPFD_CLOEXEC, 3), 'fcntl', 'F_DUPFD_CLOEXEC');
    this.close();
    let open = true;
    return {
      close() {
        if (open) closeFd(fd);
        open = false;
      },
    };
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #execute(commands: string, flags: number): string {
    if (!this.#open) throw new TypeError('this Nftables is closed');
    const nft = library();
    nft.setOutputFlags(this.#context, flags);
    // … and another one for the names of links, at the time it meets one.
    const result = inNetns(this.#netns, () => runText(nft, this.#context, commands));
    const output = nft.output(this.#context);
    const words = nft.error(this.#context);
    if (result !== 0) throw new NftError(words);
    return output;
  }
}

/** Of several lines in a buffer the library names the first, whichever is wrong; in a file it counts. So they become a file in memory. */
function runText(nft: Library, context: Context, commands: string): number {
  if (!commands.trimEnd().includes('\n')) return nft.run(context, commands);
  const fd = check(libc.memfd_create('nft', MFD_CLOEXEC), 'memfd_create');
  try {
    writeFileSync(fd, commands.endsWith('\n') ? commands : `${commands}\n`);
    return nft.runFile(context, `/proc/self/fd/${fd}`);
  } finally {
    closeFd(fd);
  }
}
