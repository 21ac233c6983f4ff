/** An IPAM driver in 50 lines: a counter for each pool, kept in one file. `docker network create --ipam-driver example-ipam n1` */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { type IpamDriver, listenPlugin, PluginError } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', file = '/var/lib/example-ipam.json'] = process.argv.slice(2);
type Pool = { subPool: string; taken: string[]; counter: number };
const pools: Record<string, Pool> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
const save = () => {
  writeFileSync(`${file}.new`, JSON.stringify(pools)); // On disk before the answer: the engine never forgets it.
  renameSync(`${file}.new`, file);
};
const fail = (message: string): never => {
  throw new PluginError('PROTO_OPTION', `example-ipam: ${message}`);
};
/** The address that many places behind the first one of a range. */
const nth = (range: string, places: number) => {
  const bytes = ipaddr.parseCIDR(range)[0].toByteArray();
  for (let at = bytes.length - 1, rest = places; rest > 0; at -= 1, rest = Math.floor(rest / 256)) {
    rest += bytes[at] ?? 0;
    bytes[at] = rest % 256;
  }
  return ipaddr.fromByteArray(bytes).toString();
};
const chosen = () => [...Array(256).keys()].map((i) => `10.201.${i}.0/24`).find((pool) => !pools[pool]);

const ipam: IpamDriver = {
  capabilities: { requiresMacAddress: false, requiresRequestReplay: false },
  getDefaultAddressSpaces: async () => ({ local: 'example-local', global: 'example-global' }),
  async requestPool({ pool = chosen() ?? fail('no pool is left'), subPool = pool, v6 }) {
    if (v6 !== pool.includes(':')) fail('give an IPv6 network a --subnet');
    pools[pool] ??= { subPool, taken: [], counter: 0 };
    save();
    return { poolId: pool, pool };
  },
  async releasePool({ poolId }) {
    delete pools[poolId];
    save();
  },
  async requestAddress({ poolId, address }) {
    const pool = pools[poolId] ?? fail(`there is no pool ${poolId}`);
    const [network, prefix] = ipaddr.parseCIDR(poolId);
    const hosts = 2 ** (8 * network.toByteArray().length - ipaddr.parseCIDR(pool.subPool)[1]) - 2;
    let ip = address ? ipaddr.parse(address).toString() : '';
    for (let tries = 0; ip === ''; tries += 1) {
      if (tries >= hosts) fail(`pool ${poolId} is full`);
      pool.counter = (pool.counter % hosts) + 1; // Goes round, so that no address comes back at once.
      const next = nth(pool.subPool, pool.counter);
      if (!pool.taken.includes(next)) ip = next;
    }
    const inside = ipaddr.parse(ip).kind() === network.kind() && ipaddr.parse(ip).match(network, prefix);
    if (!inside || pool.taken.includes(ip)) fail(`${ip} is taken or not in ${poolId}`);
    pool.taken.push(ip);
    save();
    return { address: `${ip}/${prefix}` };
  },
  async releaseAddress({ poolId, address }) {
    const pool = pools[poolId];
    if (pool) pool.taken = pool.taken.filter((taken) => taken !== ipaddr.parse(address).toString());
    save();
  },
};

const listening = await listenPlugin({ name: 'example-ipam', ipam }, { pluginDir });
process.once('SIGTERM', () => void listening.close());
