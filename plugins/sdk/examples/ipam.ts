/** An IPAM driver in 40 lines: a counter for each pool, kept in one file. `docker network create --ipam-driver example-ipam n1` */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { type IpamDriver, listenPlugin, PluginError } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', file = '/var/lib/example-ipam.json'] = process.argv.slice(2);
type Pool = { pool: string; subPool: string; taken: string[]; last: string };
const pools: Record<string, Pool> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
/** On disk before the answer: the engine remembers what it was told for ever. */
const save = () => {
  writeFileSync(`${file}.new`, JSON.stringify(pools));
  renameSync(`${file}.new`, file);
};
const fail = (message: string): never => {
  throw new PluginError('PROTO_OPTION', `example-ipam: ${message}`);
};
const toNumber = (ip: string) =>
  ipaddr
    .parse(ip)
    .toByteArray()
    .reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const toIp = (value: bigint, length: number) =>
  ipaddr
    .fromByteArray(Array.from({ length }, (_, i) => Number((value >> (8n * BigInt(length - 1 - i))) & 255n)))
    .toString();
/** First and last usable number of a range, and how many bytes its addresses have. */
const boundsOf = (cidr: string) => {
  const [ip, prefix] = ipaddr.parseCIDR(cidr);
  const bytes = ip.toByteArray().length;
  const first = toNumber(ip.toString());
  return { first: first + 1n, last: first + (1n << BigInt(bytes * 8 - prefix)) - 2n, bytes };
};
const chosen = () =>
  Array.from({ length: 256 }, (_, i) => `10.201.${i}.0/24`).find((cidr) => !pools[cidr]) ?? fail('no pool is left');

const ipam: IpamDriver = {
  capabilities: { requiresMacAddress: false, requiresRequestReplay: false },
  getDefaultAddressSpaces: async () => ({ local: 'example-local', global: 'example-global' }),
  async requestPool({ pool = chosen(), subPool = pool, v6 }) {
    if (v6 && !pool.includes(':')) fail('give an IPv6 network a --subnet');
    pools[pool] ??= { pool, subPool, taken: [], last: toIp(boundsOf(subPool).first - 1n, boundsOf(subPool).bytes) };
    save();
    return { poolId: pool, pool };
  },
  async releasePool({ poolId }) {
    delete pools[poolId];
    save();
  },
  async requestAddress({ poolId, address }) {
    const pool = pools[poolId] ?? fail(`no pool ${poolId}`);
    const { first, last, bytes } = boundsOf(address ? pool.pool : pool.subPool);
    let at = address ? toNumber(address) : toNumber(pool.last) + 1n;
    if (address && (at < first || at > last || pool.taken.includes(address)))
      fail(`${address} is taken or not in ${poolId}`);
    for (let tries = last - first; !address && (at > last || pool.taken.includes(toIp(at, bytes))); tries -= 1n) {
      if (tries < 0n) fail(`pool ${poolId} is full`);
      at = at > last ? first : at + 1n;
    }
    const ip = toIp(at, bytes);
    pool.taken.push(ip);
    if (!address) pool.last = ip;
    save();
    return { address: `${ip}/${poolId.split('/')[1]}` };
  },
  async releaseAddress({ poolId, address }) {
    const pool = pools[poolId];
    if (pool) pool.taken = pool.taken.filter((taken) => taken !== ipaddr.parse(address).toString());
    save();
  },
};

const listening = await listenPlugin({ name: 'example-ipam', ipam }, { pluginDir });
process.once('SIGTERM', () => void listening.close());
