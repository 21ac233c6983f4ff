/**
 * Asks an address whether an NFS server is there, before the kernel is asked to mount from it: a TCP connection and the NULL
 * procedure, with a deadline, on the event loop. RFC 5531 §9 (RPC message), §11 (record marking); RFC 1813 §3.3.0.
 */
import { connect } from 'node:net';

const nfsProgram = 100_003;

/** True when a server answers the NULL call on this port, whatever it thinks of the version. */
export function answersNfs(
  address: string,
  port: number,
  version: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const done = (answer: boolean): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(answer);
    };
    const giveUp = (): void => done(false);
    const timer = setTimeout(giveUp, timeoutMs);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('error', giveUp);
    socket.once('close', giveUp);
    socket.once('connect', () => socket.write(nullCall(version)));
    // Any reply is one: accepted, or "version mismatch" with the versions it has.
    socket.once('data', () => done(true));
  });
}

function nullCall(version: number): Buffer {
  const xid = 0x636c6561;
  const [call, rpcVersion, nullProcedure, noAuthentication, noLength] = [0, 2, 0, 0, 0];
  const words = [
    xid,
    call,
    rpcVersion,
    nfsProgram,
    version,
    nullProcedure,
    noAuthentication,
    noLength,
    noAuthentication,
    noLength,
  ];
  const message = Buffer.alloc(4 + 4 * words.length);
  // The top bit marks the last fragment.
  message.writeUInt32BE((0x80000000 | (4 * words.length)) >>> 0, 0);
  for (const [index, word] of words.entries()) message.writeUInt32BE(word, 4 + 4 * index);
  return message;
}
