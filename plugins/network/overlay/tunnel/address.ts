/** Addresses inside the tunnel, and what fits through it. Pure. */
import { hostAddresses } from '../host-address.ts';

export const { prefix: tunnelPrefix, of: tunnelAddress } = hostAddresses('cleat-overlay tunnel');

/** By the family of the underlay: IP, UDP 8, WireGuard's header 16 and tag 16. */
const wireguardOverhead = { 4: 20 + 8 + 32, 6: 40 + 8 + 32 } as const;

/** What fits through the tunnel when `linkMtu` fits through the link. */
export function tunnelMtu(linkMtu: number, family: 4 | 6): number {
  return linkMtu - wireguardOverhead[family];
}
