/** An open way to one server, stream or datagrams, as the sender sees it. */

export interface Connection {
  /** The server as the user wrote it, with the address that was used. */
  readonly peer: string;
  /**
   * Hands the bytes to the kernel; resolves when there is room for more. `ends` are the ends of the messages. The buffer may
   * be reused then.
   */
  send(buffer: Buffer, length: number, ends: readonly number[]): Promise<void>;
  /** Bytes handed over that the peer has not acknowledged, as far as the protocol tells. */
  unacknowledged(): number;
  /** Rejects when the connection fails; never resolves. Always observed by the sender. */
  readonly failed: Promise<never>;
  close(): void;
}

export interface Connector {
  readonly server: string;
  connect(signal: AbortSignal): Promise<Connection>;
}
