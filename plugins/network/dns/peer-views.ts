/**
 * Which view a client of a shared socket has: that of the network the socket is on, or, for a container that is on more of our networks, the
 * union of them. The sender's address only chooses among the containers of this network, and the answer goes to that address.
 */
import { formatIp, type Ip, ipToBytes } from '../address/ip.ts';
import type { View } from './view.ts';

export interface WiderView {
  readonly ip: Ip;
  readonly view: View;
}

export class PeerViews {
  #base: View;
  readonly #byHash = new Map<number, { readonly bytes: Uint8Array; readonly view: View }>();
  readonly #byText = new Map<string, View>();

  constructor(base: View) {
    this.#base = base;
  }

  set(base: View, wider: readonly WiderView[]): void {
    this.#base = base;
    this.#byHash.clear();
    this.#byText.clear();
    for (const { ip, view } of wider) {
      const bytes = ipToBytes(ip);
      this.#byHash.set(addressHash(bytes), { bytes, view });
      this.#byText.set(formatIp(ip), view);
    }
  }

  /** The one view that every client has; undefined when there are several. */
  get only(): View | undefined {
    return this.#byHash.size === 0 ? this.#base : undefined;
  }

  /** `hash` is DatagramArena.peerHash; `address` is called when the hash alone does not prove whose it is. */
  find(hash: number, address: () => Uint8Array): View {
    const found = this.#byHash.get(hash);
    if (found === undefined) return this.#base;
    return Buffer.compare(found.bytes, address()) === 0 ? found.view : this.#base;
  }

  findByText(address: string): View {
    return this.#byText.get(address) ?? this.#base;
  }
}

/** As DatagramArena.peerHash: IPv4 whole, IPv6 folded. */
function addressHash(bytes: Uint8Array): number {
  if (bytes.length === 4) return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  let hash = 0;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
