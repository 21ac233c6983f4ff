/**
 * A netlink socket with synchronous requests: the kernel has put the answers into the receive queue when `sendto` returns, so
 * a request is two system calls (13 us) and needs no event loop. A socket belongs to the namespace it was made in, for ever.
 *
 * Requests are sent many at a time; the kernel runs all of a batch, also behind one that fails, and acknowledges each.
 * Interrupted dumps (NLM_F_DUMP_INTR) are repeated here and nowhere else.
 */
import { isKernelError, KernelError } from '../errors.ts';
import { inNetns, type Netns } from '../netns.ts';
import {
  AF_NETLINK,
  check,
  closeFd,
  libc,
  MSG_TRUNC,
  SO_RCVTIMEO,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
} from '../syscall.ts';
import {
  type Message,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  readAcknowledgement,
  readMessages,
} from './message.ts';

// <linux/netlink.h>
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** One message to the kernel, and the words for the error it may end in. */
export interface Request {
  /** `RTM_NEWLINK` */
  readonly call: string;
  /** `macvlan parent=3`; called only for an error. */
  readonly describe: () => string;
  readonly type: number;
  readonly flags: number;
  readonly write: (writer: MessageWriter) => void;
}

/** Acknowledgements of one batch must fit the receive buffer (208 KiB by default, about 1 KiB each as the kernel counts). */
const batchSize = 64;
const dumpAttempts = 20;
/** The kernel answers before `sendto` returns; this only turns a defect into an error instead of a hang. */
const receiveTimeoutSeconds = 10;

// Requests are synchronous, so one buffer serves all sockets; views into it never leave this file uncopied.
const received = Buffer.alloc(256 * 1024);
const writer = new MessageWriter();

export class NetlinkSocket {
  readonly fd: number;
  #sequence = 0;
  #open = true;

  /** In the given namespace, else in that of the caller. The opener closes it. */
  constructor(protocol: number, netns?: Netns) {
    this.fd = netns ? inNetns(netns, () => openSocket(protocol)) : openSocket(protocol);
  }

  /** Runs the requests in order; all are tried, and the first failure is thrown. */
  apply(...requests: readonly Request[]): void {
    for (const error of this.attempt(requests)) if (error) throw error;
  }

  /** The same, and what exists already (EEXIST) is no failure: for calls that may be repeated. */
  ensure(...requests: readonly Request[]): void {
    for (const error of this.attempt(requests)) if (error && !isKernelError(error, 'EEXIST')) throw error;
  }

  /** Runs the requests in order; one outcome each, undefined for success. */
  attempt(requests: readonly Request[]): (KernelError | undefined)[] {
    const outcomes: (KernelError | undefined)[] = [];
    for (let at = 0; at < requests.length; at += batchSize) {
      const batch = requests.slice(at, at + batchSize);
      const first = this.#write(batch, NLM_F_REQUEST | NLM_F_ACK);
      this.#send(writer.bytes, batch[0]?.call ?? '');
      outcomes.push(...this.#acknowledged(batch, first));
    }
    return outcomes;
  }

  /** The answer of a request that has exactly one. */
  get(request: Request): Buffer {
    const sequence = this.#write([request], NLM_F_REQUEST);
    this.#send(writer.bytes, request.call);
    for (;;) {
      for (const message of this.#receive(request.call)) {
        if (message.sequence !== sequence) continue;
        if (message.type === NLMSG_ERROR) throw requestError(request, message);
        return Buffer.from(message.body);
      }
    }
  }

  /** All answers of a dump, as of one moment: it is repeated while the kernel says that what it shows has changed meanwhile. */
  dump(request: Request): Message[] {
    for (let attempt = 1; ; attempt++) {
      const sequence = this.#write([request], NLM_F_REQUEST | NLM_F_DUMP);
      this.#send(writer.bytes, request.call);
      const { answers, interrupted } = this.#dumped(request, sequence);
      // After many attempts on a very busy host a mixed view beats none: callers that repair look again anyway.
      if (!interrupted || attempt === dumpAttempts) return answers;
    }
  }

  /**
   * Sends the requests from a pool thread, so that what blocks in the kernel (a veth's deletion waits 18 ms) does not stop the
   * event loop. The socket must do nothing else meanwhile: give it one of its own.
   */
  async applyOnThread(...requests: readonly Request[]): Promise<void> {
    for (let at = 0; at < requests.length; at += batchSize) {
      const batch = requests.slice(at, at + batchSize);
      const first = this.#write(batch, NLM_F_REQUEST | NLM_F_ACK);
      await sendOnThread(this.fd, Buffer.from(writer.bytes), batch[0]?.call ?? '');
      for (const error of this.#acknowledged(batch, first)) if (error) throw error;
    }
  }

  /** Sends bytes that the caller built, and reads until `done` says that the last answer was there. */
  exchange(call: string, bytes: Buffer, done: (message: Message) => boolean): void {
    this.#send(bytes, call);
    for (;;) {
      for (const message of this.#receive(call)) if (done(message)) return;
    }
  }

  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    return this.#sequence;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeFd(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Fills the writer; returns the sequence number of the first request. */
  #write(requests: readonly Request[], flags: number): number {
    writer.reset();
    let first = 0;
    for (const request of requests) {
      const sequence = this.nextSequence();
      first ||= sequence;
      writer.begin(request.type, request.flags | flags, sequence);
      request.write(writer);
      writer.end();
    }
    return first;
  }

  #send(bytes: Buffer, call: string): void {
    check(libc.sendto(this.fd, bytes, bytes.length, 0, null, 0), 'sendto', call);
  }

  #receive(call: string): Message[] {
    const size = check(libc.recv(this.fd, received, received.length, MSG_TRUNC), 'recv', call);
    if (size > received.length)
      throw new KernelError({ errno: 90, call: 'recv', args: `${call}: answer of ${size} bytes` });
    return readMessages(received.subarray(0, size));
  }

  #acknowledged(batch: readonly Request[], first: number): (KernelError | undefined)[] {
    const outcomes: (KernelError | undefined)[] = batch.map(() => undefined);
    let missing = batch.length;
    while (missing > 0) {
      for (const message of this.#receive(batch[0]?.call ?? '')) {
        const index = message.sequence - first;
        const request = batch[index];
        // Anything else belongs to an exchange that was given up.
        if (message.type !== NLMSG_ERROR || !request) continue;
        missing--;
        if (message.body.readInt32LE() !== 0) outcomes[index] = requestError(request, message);
      }
    }
    return outcomes;
  }

  #dumped(request: Request, sequence: number): { answers: Message[]; interrupted: boolean } {
    const answers: Message[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.#receive(request.call)) {
        if (message.sequence !== sequence) continue;
        if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          if (readAcknowledgement(message).errno !== 0) throw requestError(request, message);
          return { answers, interrupted };
        }
        answers.push({ ...message, body: Buffer.from(message.body) });
      }
    }
  }
}

function openSocket(protocol: number): number {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'socket', `AF_NETLINK ${protocol}`);
  const one = Buffer.from([1, 0, 0, 0]);
  const timeout = Buffer.alloc(16);
  timeout.writeUInt32LE(receiveTimeoutSeconds, 0);
  try {
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
      check(libc.setsockopt(fd, SOL_NETLINK, option, one, one.length), 'setsockopt', `SOL_NETLINK ${option}`);
    }
    check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length), 'setsockopt', 'SO_RCVTIMEO');
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

function sendOnThread(fd: number, bytes: Buffer, call: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  libc.sendto.async(fd, bytes, bytes.length, 0, null, 0, (error, result) => {
    // errno stays on the pool thread; sendto on a netlink socket that is open fails for want of memory alone.
    if (error ?? result < 0) reject(error ?? new KernelError({ errno: 105, call: 'sendto', args: call }));
    else resolve();
  });
  return promise;
}

function requestError(request: Request, message: Message): KernelError {
  const { errno, detail } = readAcknowledgement(message);
  return new KernelError({ errno, call: request.call, args: request.describe(), ...(detail ? { detail } : {}) });
}
