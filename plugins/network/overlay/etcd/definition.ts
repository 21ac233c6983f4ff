/** What all hosts of a network must agree on, written to the store by the first of them and removed by the last. */
import { PluginError } from '../../../sdk/errors.ts';
import type { SharedNetwork } from '../control-plane.ts';
import { object } from '../shared-records.ts';
import { found, get, isAbsent, isAt, put, remove, removeAll } from './connection.ts';
import type { Keys } from './keys.ts';
import type { Session } from './session.ts';
import { storeError } from './session.ts';

const compared = ['vni', 'port', 'shares', 'pools', 'gateways'] as const;
const attempts = 4;

/** Throws NET_OVERLAY_DIFFERS when the store has the name, or the VNI, for another network, and NET_OVERLAY_STORE. */
export async function defineNetwork({ connection }: Session, keys: Keys, network: SharedNetwork): Promise<void> {
  const [definition, vni] = [keys.definition(network.name), keys.vni(network.vni)];
  const wanted = JSON.stringify(Object.fromEntries(compared.map((name) => [name, network[name]])));
  for (let attempt = 0; attempt < attempts; attempt++) {
    const seen = await connection.transact({ success: [get(definition), get(vni)] });
    const [there, holder] = [found(seen, 0), found(seen, 1)];
    if (there) refuseDifference(network, there.text);
    if (holder && holder.text !== network.name) {
      // The holder may be a leftover: its network is gone.
      const of = await connection.transact({ success: [get(keys.definition(holder.text))] });
      if (found(of, 0)) throw vniTaken(network, holder.text);
    }
    if (there && holder?.text === network.name) return;
    const done = await connection.transact({
      compare: [
        there ? isAt(definition, there.revision) : isAbsent(definition),
        holder ? isAt(vni, holder.revision) : isAbsent(vni),
      ],
      success: [put(definition, wanted), put(vni, network.name)],
    });
    if (done.succeeded) return;
  }
  throw storeError(`others write the network ${network.name} at the same time`);
}

/** Removes all of the network when no host has it and no addresses are claimed. */
export async function removeUnused({ connection }: Session, keys: Keys, name: string): Promise<void> {
  const seen = await connection.transact({ success: [get(keys.definition(name))] });
  const definition = found(seen, 0);
  const number = definition && readDefinition(definition.text)['vni'];
  const vni = typeof number === 'number' ? keys.vni(number) : undefined;
  await connection.transact({
    compare: [isAbsent(keys.hosts(name), true), isAbsent(keys.blocks(name), true)],
    success: [removeAll(keys.network(name)), ...(vni === undefined ? [] : [remove(vni)])],
  });
}

function refuseDifference(network: SharedNetwork, json: string): void {
  const there = readDefinition(json);
  for (const name of compared) {
    const mine = JSON.stringify(network[name]);
    const theirs = JSON.stringify(there[name]);
    if (mine === theirs) continue;
    throw new PluginError(
      'NET_OVERLAY_DIFFERS',
      `the network ${network.name} has ${name} ${show(there[name])} on the other hosts, here it would be ${show(network[name])}`,
      { hint: 'give the same options, --subnet and --gateway on every host, or another cleat.network' },
    );
  }
}

/** Empty for what is none: that differs from every network, and must not end the session of all others. */
function readDefinition(json: string): Readonly<Record<string, unknown>> {
  try {
    return object(JSON.parse(json));
  } catch {
    return {};
  }
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing that can be read';
  return (Array.isArray(value) ? value.map(String).join(', ') : String(value)) || 'none';
}

function vniTaken({ name, vni }: SharedNetwork, holder: string): PluginError {
  return new PluginError('NET_OVERLAY_DIFFERS', `VNI ${vni} of the network ${name} belongs to the network ${holder}`, {
    hint: 'give another -o cleat.vni, the same on every host',
  });
}
