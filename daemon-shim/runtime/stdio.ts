/**
 * The streams of a running container, seen from the shim. They live in the container's bundle folder and outlast the shim:
 *
 *     stdout stderr   FIFOs that the container holds open for reading and writing: a shim that is away only fills the pipe
 *     stdin           a FIFO that we write
 *     *.holder        who keeps them open while we are away (fifo-holder.ts)
 *     attach ctl      conmon's, for a terminal: one socket for both directions, one FIFO for the size
 *     terminal.*      what it said, for a shim that comes back (terminal-log.ts)
 */
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { SeqpacketSocket } from '../../plugins/linux/seqpacket.ts';
import { check, libc } from '../../plugins/linux/syscall.ts';
import { endHolder, holdOpen } from './fifo-holder.ts';
import type { ContainerStdio } from './monitor.ts';
import { Output, type OutputStream } from './output.ts';
import { joinMissed, TerminalLog } from './terminal-log.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants;
const packetStdout = 2; // conmon's attach protocol: the first byte of each packet is the stream
const packetStderr = 3;
const settleMs = 50;

/** Where input goes; `end` gives the container its end of file. */
export interface ContainerInput {
  /** false: wait for `drained` before more is written. */
  write(chunk: Uint8Array): boolean;
  drained(): Promise<void>;
  end(): void;
}

export interface ContainerStreams {
  readonly output: Output;
  /** Undefined when the container has no stdin. */
  readonly input: ContainerInput | undefined;
  /** Columns and rows of the terminal; nothing without one. */
  resize(rows: number, columns: number): void;
  /** The container has ended: reads what is left, ends the listeners and closes everything. */
  finish(): void;
  /** Lets go without ending anything: the shim stops, the container goes on. */
  release(): void;
}

/**
 * Makes the FIFOs and opens the container's ends. Close them (closeContainerEnds) once the container has them. Without
 * `outlast` nobody holds them open when the shim goes: what an exec session wrote last is lost with it.
 */
export function makeFifos(bundle: string, openStdin: boolean, outlast = true): ContainerStdio {
  for (const name of ['stdin', 'stdout', 'stderr']) rmSync(join(bundle, name), { force: true });
  for (const name of openStdin ? ['stdin', 'stdout', 'stderr'] : ['stdout', 'stderr']) {
    check(libc.mkfifo(join(bundle, name), 0o600), 'mkfifo', join(bundle, name));
  }
  const stdout = openSync(join(bundle, 'stdout'), O_RDWR);
  const stderr = openSync(join(bundle, 'stderr'), O_RDWR);
  if (outlast) holdOpen(bundle, 'output.holder', [stdout, stderr]);
  if (!openStdin) return { stdout, stderr };
  // A reader and a writer at once, so that neither opening waits for the other.
  const both = openSync(join(bundle, 'stdin'), O_RDWR);
  const stdin = openSync(join(bundle, 'stdin'), O_RDONLY);
  const write = openSync(join(bundle, 'stdin'), O_WRONLY);
  closeSync(both);
  // Without a holder our own end stays open, so that the process sees no end of input before the streams are opened.
  if (!outlast) return { stdin, stdout, stderr, held: write };
  holdOpen(bundle, 'stdin.holder', [write]);
  closeSync(write);
  return { stdin, stdout, stderr };
}

export function closeContainerEnds(stdio: ContainerStdio): void {
  for (const fd of [stdio.stdin, stdio.stdout, stdio.stderr, stdio.held]) if (fd !== undefined) closeSync(fd);
}

/** Streams of a container without a terminal; works for one just made and for one that outlived an earlier shim. */
export function openPipeStreams(bundle: string, openStdin: boolean): ContainerStreams {
  const output = new Output();
  const readers = new Map<OutputStream, Socket>();
  for (const stream of ['stdout', 'stderr'] as const) {
    const socket = new Socket({
      fd: openSync(join(bundle, stream), O_RDWR | O_NONBLOCK),
      readable: true,
      writable: false,
    });
    socket.on('data', (chunk: Buffer) => output.deliver(stream, chunk));
    socket.on('error', () => socket.destroy());
    output.addSource(socket);
    readers.set(stream, socket);
  }
  const input = openStdin ? openStdinFifo(bundle) : undefined;
  const release = () => {
    for (const socket of readers.values()) socket.destroy();
    input?.close();
  };
  return {
    output,
    input,
    resize: () => {},
    finish: () => {
      for (const [stream, socket] of readers) drain(bundle, stream, socket, output);
      endHolder(bundle, 'stdin.holder');
      endHolder(bundle, 'output.holder');
      release();
      output.end();
    },
    release,
  };
}

/** Streams of a container with a terminal: everything is stdout. The output ends when the terminal does. */
export function openTerminalStreams(bundle: string): ContainerStreams {
  const log = new TerminalLog(bundle);
  const output = new Output();
  return terminalStreams(bundle, output, {
    take: (chunk) => {
      output.deliver('stdout', chunk);
      log.seen(chunk.length);
    },
    end: () => {
      log.close();
      output.end();
    },
    release: () => log.close(),
  });
}

/** The same for an exec session: its output does not end before `finish`, so that whoever sees the end can ask for the exit code. */
export function openExecTerminalStreams(folder: string): ContainerStreams {
  const output = new Output();
  let waitsFor = 2;
  const endPart = () => {
    waitsFor -= 1;
    if (waitsFor === 0) output.end();
  };
  return {
    ...terminalStreams(folder, output, { take: (chunk) => output.deliver('stdout', chunk), end: endPart }),
    finish: endPart,
  };
}

/** Of a container that outlived an earlier shim; `output` has first what the terminal said while nobody was there. */
export function adoptTerminalStreams(bundle: string): ContainerStreams {
  const log = new TerminalLog(bundle);
  const output = new Output();
  const came: Buffer[] = [];
  let isAdopted = false;
  let hasEnded = false;
  let streams: TerminalStreams | undefined;
  const deliver = (chunk: Buffer) => {
    if (chunk.length === 0) return;
    output.deliver('stdout', chunk);
    log.seen(chunk.length);
  };
  const adopt = () => {
    if (isAdopted) return;
    const missed = log.missed();
    // What is in the file may wait in the socket as well: it is read after the file, so that nothing is taken twice.
    streams?.receiveWaiting();
    if (isAdopted) return; // the end was among it
    isAdopted = true;
    deliver(joinMissed(missed, Buffer.concat(came)));
  };
  const end = () => {
    if (hasEnded) return;
    hasEnded = true;
    adopt();
    log.close();
    output.end();
  };
  streams = terminalStreams(bundle, output, {
    take: (chunk) => (isAdopted ? deliver(chunk) : void came.push(chunk)),
    end,
    release: () => {
      hasEnded = true;
      log.close();
    },
  });
  // conmon sees a new client a moment after it has connected.
  setTimeout(() => !hasEnded && adopt(), settleMs);
  return streams;
}

/** Of a container whose terminal ended while no shim was there: its last words are delivered at `finish`. */
export function endedTerminalStreams(bundle: string): ContainerStreams {
  const output = new Output();
  return {
    output,
    input: undefined,
    resize: () => {},
    finish: () => {
      const log = new TerminalLog(bundle);
      const missed = log.missed();
      log.close();
      if (missed.length > 0) output.deliver('stdout', missed);
      output.end();
    },
    release: () => {},
  };
}

interface TerminalStreams extends ContainerStreams {
  /** Takes what has come and was not looked at yet. */
  receiveWaiting(): void;
}

function terminalStreams(
  folder: string,
  output: Output,
  { take, end, release }: { take(chunk: Buffer): void; end(): void; release?(): void },
): TerminalStreams {
  const socket = new SeqpacketSocket(join(folder, 'attach'), {
    onPacket: (packet) => {
      if (packet[0] === packetStdout || packet[0] === packetStderr) take(packet.subarray(1));
    },
    onEnd: end,
  });
  output.addSource(socket);
  return {
    output,
    input: {
      write: (chunk) => socket.send(chunk),
      drained: () => socket.drained(),
      // A terminal has no end of file but the character that the user types.
      end: () => {},
    },
    resize: (rows, columns) => writeControl(folder, `1 ${rows} ${columns}\n`),
    // conmon sends everything before it closes: the end follows by itself.
    finish: () => {},
    release: () => {
      socket.close();
      release?.();
    },
    receiveWaiting: () => socket.receiveWaiting(),
  };
}

/** Reads what the pipe still holds; the writer is gone, so the first empty read is the end. */
function drain(bundle: string, stream: OutputStream, socket: Socket, output: Output): void {
  socket.removeAllListeners('data');
  for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
    output.deliver(stream, chunk);
  const fd = openSync(join(bundle, stream), O_RDONLY | O_NONBLOCK);
  const buffer = Buffer.allocUnsafe(1 << 16);
  try {
    for (;;) {
      const size = readSync(fd, buffer);
      if (size === 0) break;
      output.deliver(stream, Buffer.from(buffer.subarray(0, size)));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  } finally {
    closeSync(fd);
  }
}

function openStdinFifo(bundle: string): (ContainerInput & { close(): void }) | undefined {
  let fd: number;
  try {
    fd = openSync(join(bundle, 'stdin'), O_WRONLY | O_NONBLOCK);
  } catch {
    return undefined; // ENXIO: the container has closed its end
  }
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => socket.destroy());
  return {
    write: (chunk) => !socket.destroyed && socket.write(chunk),
    drained: () => drainedOrClosed(socket),
    end: () => {
      socket.end(() => socket.destroy());
      endHolder(bundle, 'stdin.holder');
    },
    close: () => socket.destroy(),
  };
}

function drainedOrClosed(socket: Socket): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/** Nothing happens when the terminal is gone: clients resize whenever their window does. */
function writeControl(bundle: string, line: string): void {
  let fd: number;
  try {
    fd = openSync(join(bundle, 'ctl'), O_WRONLY | O_NONBLOCK);
  } catch (error) {
    if (['ENXIO', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw error;
  }
  try {
    writeSync(fd, line);
  } finally {
    closeSync(fd);
  }
}
