/**
 * The channel: TLS with a key that both sides have (RFC 4279) and fresh keys for each connection (RFC 5489), so that what was
 * recorded can neither be read nor sent again, also when the secret becomes known later. No certificates.
 */
import { scryptSync } from 'node:crypto';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';

/** With TLS 1.3 Node offers no pre-shared keys. The suite is RFC 7905's. */
const common = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
} as const;
const identity = 'cleat-overlay';
const handshakeMs = 3000;

/** Slow on purpose: who meets us as a server may try secrets against what we sent. */
export function deriveKey(secret: string): Buffer {
  return scryptSync(secret, 'cleat-overlay exchange v1', 32);
}

export function secureServer(key: Buffer, onSocket: (socket: TLSSocket) => void): Server {
  const pskCallback = (_socket: TLSSocket, given: string) => (given === identity ? key : null);
  return createServer({ ...common, handshakeTimeout: handshakeMs, pskCallback }, onSocket);
}

/** Why a connection did not come about, for whoever set up the hosts: OpenSSL's own words are for its authors. */
export function describeRefusal(error: Error): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  // With another key the first encrypted record cannot be read: who got it says `bad record mac` (RFC 5246 §7.2.2).
  if (/BAD_RECORD_MAC/.test(code)) return 'its secret is not the same as here';
  if (code === 'ECONNREFUSED') return 'nobody listens there: no cleat-networkd, or no overlay network yet';
  return error.message.trim();
}

export function secureConnect(key: Buffer, host: string, port: number): TLSSocket {
  return connect({
    ...common,
    host,
    port,
    pskCallback: () => ({ psk: key, identity }),
    checkServerIdentity: () => undefined,
  });
}
