/**
 * What a WireGuard device is and how it is changed. Keys are base64, as wg(8) shows them. A private key goes to the device and
 * nowhere else: it is never read back, and no error holds it.
 */

export interface WireguardPeer {
  readonly publicKey: string;
  /** `192.0.2.1:51820`, `[2001:db8::1]:51820`; undefined until it is known. */
  readonly endpoint: string | undefined;
  /** CIDRs, by which a packet finds its peer, and which its packets may come from. */
  readonly allowedIps: readonly string[];
  /** Milliseconds since 1970; undefined: never. */
  readonly handshakeAt: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface WireguardDevice {
  readonly publicKey: string | undefined;
  readonly listenPort: number;
  readonly peers: readonly WireguardPeer[];
}

export interface PeerChange {
  readonly publicKey: string;
  /** Takes it away; nothing else counts then. */
  readonly remove?: boolean;
  /** IP and port. Left out: stays, or stays unknown. */
  readonly endpoint?: { readonly address: string; readonly port: number };
  /** Replaces the list; takes these from whichever peer had them. */
  readonly allowedIps?: readonly string[];
  /** Seconds between packets that keep the way through a NAT open; 0: none. */
  readonly keepaliveSeconds?: number;
}

export interface DeviceChange {
  readonly privateKey?: string;
  readonly listenPort?: number;
  /** What is not named stays as it is. */
  readonly peers?: readonly PeerChange[];
}

/** `kernel`, or the process's link, a TUN device. */
export type WireguardKind = 'kernel' | 'wireguard-go';

/** Neither the kernel nor the program is there. */
export class NoWireguardError extends Error {
  override readonly name: string = 'NoWireguardError';
}
