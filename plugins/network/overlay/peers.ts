/**
 * Peers by name: what the names mean is asked once, when the network is made. From then on it has addresses, so a daemon that starts
 * before there is DNS knows its peers.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { PluginError } from '../../sdk/errors.ts';
import { compareIp, formatIp, type Ip, ipRange, parseIp } from '../address/ip.ts';
import { overlaySchema } from './options.ts';

const lookupMs = 1500;
/** RFC 1123 §2.1. The last part is no number: that would be an address with a slip in it (RFC 3696 §2). */
const hostName =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const [optionName = ''] = overlaySchema.peers.names;

/**
 * Options with addresses in the place of names; what is neither stays, for whoever reads the options. `ownTowards`: the address of this
 * host by which these reach it, for its own name often means a loopback address. Throws NET_OVERLAY_PEERS.
 */
export async function resolvePeers(
  options: Readonly<Record<string, string>>,
  ownTowards: (others: readonly string[]) => string,
): Promise<Readonly<Record<string, string>>> {
  const items = (options[optionName] ?? '').split(',').map((item) => item.trim());
  if (!items.some((item) => hostName.test(item))) return options;
  const found = await Promise.all(items.map((item) => (hostName.test(item) ? addressesOf(item) : item)));
  const written = items.map(isIP).find((family) => family !== 0);
  const lists = found.filter((one) => typeof one !== 'string');
  const family = written ?? (lists.every((list) => list.length === 0 || list.some((ip) => ip.family === 4)) ? 4 : 6);
  const peers = found.map((one, index) => {
    if (typeof one === 'string' || one.length === 0) return one;
    const ip = one.find((each) => each.family === family);
    if (!ip) throw unusable(items[index] ?? '', `has no IPv${family} address, which the other peers have`);
    return formatIp(ip);
  });
  const others = peers.filter((peer) => typeof peer === 'string');
  const all = peers.map((peer) => (typeof peer === 'string' ? peer : ownTowards(others)));
  return { ...options, [optionName]: all.join(',') };
}

/** The same order on every host; none for the name of this host, where it means loopback (Debian's 127.0.1.1). */
async function addressesOf(name: string): Promise<Ip[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(unusable(name, `was not found within ${lookupMs} ms`)), lookupMs);
  });
  try {
    const answers = await Promise.race([lookup(name, { all: true }), late]);
    return answers
      .map(({ address }) => parseIp(address))
      .filter((ip) => ipRange(ip) !== 'loopback')
      .sort(compareIp);
  } catch (error) {
    throw error instanceof PluginError ? error : unusable(name, `cannot be found: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
}

function unusable(name: string, why: string): PluginError {
  return new PluginError('NET_OVERLAY_PEERS', `the peer ${name} ${why}`, {
    hint: 'give its address, or a name that means the same on every host',
  });
}
