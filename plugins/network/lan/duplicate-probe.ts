/**
 * Asks the LAN whether somebody has an address already, before a container gets it. RFC 5227's question, asked three times in
 * quick succession instead of over seconds: the engine's start waits for the answer. IPv6 is not asked for yet.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ETH_P_ARP, PacketSocket } from '../../linux/packet-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { decodeArpSender, encodeArpRequest } from './arp.ts';

const everybody = 'ff:ff:ff:ff:ff:ff';
const probes = 3;
const spacingMs = 20;
/** After the last probe: a LAN answers in less than a millisecond, Wi-Fi in a few. */
const waitMs = 60;

export interface ProbePlan {
  /** Index of the link to ask on, and its MAC. */
  readonly link: number;
  readonly mac: string;
  /** Bare addresses. */
  readonly addresses: readonly string[];
}

/** Throws NET_ADDRESS_DUPLICATE naming who answered. A link that is down cannot be asked, and is not. */
export async function probeDuplicates(plan: ProbePlan, signal: AbortSignal): Promise<void> {
  const wanted = plan.addresses.filter((address) => !address.includes(':'));
  if (wanted.length === 0) return;
  let found: { readonly mac: string; readonly ip: string } | undefined;
  using socket = new PacketSocket({
    link: plan.link,
    protocol: ETH_P_ARP,
    onPacket: (packet) => {
      const sender = decodeArpSender(packet);
      if (sender !== undefined && wanted.includes(sender.ip) && sender.mac !== plan.mac) found ??= sender;
    },
  });
  for (let count = 0; count < probes && found === undefined; count += 1) {
    for (const targetIp of wanted) {
      try {
        socket.send(everybody, encodeArpRequest({ senderMac: plan.mac, senderIp: '0.0.0.0', targetIp }));
      } catch {
        return;
      }
    }
    await delay(spacingMs, undefined, { signal });
  }
  if (found === undefined) await delay(waitMs, undefined, { signal });
  if (found === undefined) return;
  throw new PluginError('NET_ADDRESS_DUPLICATE', `address ${found.ip} is in use on the LAN by ${found.mac}`, {
    hint: 'choose another with --ip, or keep the range of the pool apart from that of your router',
  });
}
