/** Requests and releases addresses as fast as it can until it is killed, and says each answer on its standard output. */
import { writeSync } from 'node:fs';
import { formatIp } from '../../plugins/network/address/ip.ts';
import { CleatIpam } from '../../plugins/network/ipam/driver.ts';
import { Ledger } from '../../plugins/network/ipam/ledger.ts';
import { parseIpamConfig } from '../../plugins/network/ipam/options.ts';
import { openStore } from '../../plugins/store/store.ts';

const pool = '10.77.0.0/24';
const poolId = `cleat-local/${pool}`;
const config = parseIpamConfig({});
const ledger = new Ledger(openStore(process.argv[2] ?? ''), () => config);
const driver = new CleatIpam({ ledger, config: () => config, hostBlocks: () => [], now: Date.now, onUse: () => {} });
if (!ledger.find(poolId)) await driver.requestPool({ addressSpace: 'cleat-local', pool, options: {}, v6: false });

const held: string[] = [];
for (const [value, record] of ledger.find(poolId)?.pool.entries() ?? []) {
  if (record.state === 'allocated') held.push(formatIp({ family: 4, value }));
}
for (;;) {
  if (held.length < 200 && (held.length < 20 || Math.random() < 0.6)) {
    const { address } = await driver.requestAddress({ poolId, isGateway: false, serial: false, options: {} });
    const bare = address.split('/')[0] ?? '';
    held.push(bare);
    writeSync(1, `given ${bare}\n`);
  } else {
    const [address = ''] = held.splice(Math.floor(Math.random() * held.length), 1);
    await driver.releaseAddress({ poolId, address });
    writeSync(1, `released ${address}\n`);
  }
}
