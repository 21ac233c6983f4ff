/** What the leases need of DHCP, whichever the address family. Implemented by v4/client.ts and v6/client.ts. */

/** A client of a server: a container, asked for by this host on the parent interface. */
export interface DhcpAsker {
  /** Index of the link to ask on. */
  readonly link: number;
  /** For messages. */
  readonly linkName: string;
  readonly mac: string;
  /** The client identifier of IPv4 (RFC 2132 §9.14), the DUID of IPv6 (RFC 8415 §11). */
  readonly clientId: Uint8Array;
  /** Tells the associations of one DUID apart (RFC 8415 §4.2). */
  readonly iaid: number;
  readonly hostName?: string;
}

/** What a server gives or offers. */
export interface DhcpGrant {
  /** Bare. */
  readonly address: string;
  /** The address of IPv4, the DUID of IPv6 as hexadecimal digits. */
  readonly serverId: string;
  /** Absent: for ever. */
  readonly leaseSeconds?: number;
  /** T1 and T2: from when on the server that gave it, or any, is asked to extend it. */
  readonly renewSeconds?: number;
  readonly rebindSeconds?: number;
  readonly nameServers: readonly string[];
  /** Bytes. */
  readonly mtu?: number;
  readonly routers: readonly string[];
  /** CIDR of the subnet, where the server names it. */
  readonly subnet?: string;
}

/** `renew`: the server that gave it; `rebind`: any (RFC 8415 §18.2.4, §18.2.5). */
export type ExtendPhase = 'renew' | 'rebind';

export interface Extension {
  readonly phase: ExtendPhase;
  /** How long to go on asking, milliseconds since 1970. */
  readonly untilMs: number;
  /** Nobody has answered the first question; it is repeated. */
  readonly onSilence: () => void;
}

/** Errors: DHCP_NO_SERVER when nobody answers, DHCP_REFUSED when the answer is no. */
export interface DhcpProtocol {
  /** What a server would give, without taking it. */
  look(asker: DhcpAsker, signal: AbortSignal): Promise<DhcpGrant>;
  obtain(asker: DhcpAsker, wanted: string | undefined, signal: AbortSignal): Promise<DhcpGrant>;
  extend(asker: DhcpAsker, grant: DhcpGrant, plan: Extension, signal: AbortSignal): Promise<DhcpGrant>;
  release(asker: DhcpAsker, grant: DhcpGrant, signal: AbortSignal): Promise<void>;
  /** The address is in use by somebody else (RFC 2131 §3.1, RFC 8415 §18.2.8). */
  decline(asker: DhcpAsker, grant: DhcpGrant): void;
}
