/** An IPAM driver in 40 lines: a counter for each pool, kept in one file. `docker network create --ipam-driver example-ipam n1` */
import ipaddr from 'ipaddr.js';
import { type IpamDriver, PluginError, runPlugin, StateMap } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', file = '/var/lib/example-ipam.json'] = process.argv.slice(2);
type Pool = { readonly subPool: string; readonly taken: readonly string[]; readonly counter: number };
const pools = new StateMap<Pool>(file); // On disk before the answer: the engine never forgets it.
const fail = (message: string): never => {
  throw new PluginError('PROTO_OPTION', `example-ipam: ${message}`);
};
const chosen = () => [...Array(256).keys()].map((i) => `10.201.${i}.0/24`).find((pool) => !pools.has(pool));
const clean = (address: string) => ipaddr.parse(address).toString();
/** The address so many places behind the first one of a range. */
const nth = (range: string, places: number) => {
  const bytes = Buffer.from(ipaddr.parseCIDR(range)[0].toByteArray());
  bytes.writeUInt32BE(bytes.readUInt32BE(bytes.length - 4) + places, bytes.length - 4);
  return ipaddr.fromByteArray([...bytes]).toString();
};

const ipam: IpamDriver = {
  async requestPool({ pool = chosen() ?? fail('no pool is left'), subPool = pool, v6 }) {
    if (v6 !== pool.includes(':')) fail('give an IPv6 network a --subnet');
    if (!pools.has(pool)) pools.set(pool, { subPool, taken: [], counter: 0 });
    return { poolId: pool, pool };
  },
  releasePool: async ({ poolId }) => void pools.delete(poolId),
  async requestAddress({ poolId, address }) {
    let { subPool, taken, counter } = pools.get(poolId) ?? fail(`there is no pool ${poolId}`);
    const [network, prefix] = ipaddr.parseCIDR(poolId);
    const hosts = 2 ** (8 * network.toByteArray().length - ipaddr.parseCIDR(subPool)[1]) - 2;
    let ip = address && clean(address);
    for (let tries = 0; !ip || (!address && taken.includes(ip)); tries += 1) {
      if (tries === hosts) fail(`pool ${poolId} is full`);
      counter = (counter % hosts) + 1; // Goes round, so that no address comes back at once.
      ip = nth(subPool, counter);
    }
    const inside = ipaddr.parse(ip).kind() === network.kind() && ipaddr.parse(ip).match(network, prefix);
    if (!inside || taken.includes(ip)) fail(`${ip} is taken or not in ${poolId}`);
    pools.set(poolId, { subPool, taken: [...taken, ip], counter });
    return { address: `${ip}/${prefix}` };
  },
  async releaseAddress({ poolId, address }) {
    const pool = pools.get(poolId);
    if (pool) pools.set(poolId, { ...pool, taken: pool.taken.filter((taken) => taken !== clean(address)) });
  },
};

await runPlugin({ name: 'example-ipam', ipam }, { pluginDir });
