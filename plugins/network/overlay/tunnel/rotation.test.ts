import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  chooseSlot,
  isSettled,
  nextEpoch,
  type OwnTunnel,
  type RemoteTunnel,
  type SharedTunnel,
  type Slot,
  slotOf,
  spentSlots,
} from './rotation.ts';

const key = (slot: Slot) => ({ slot, publicKey: `key ${slot}`, port: 4786 + slot });
const remote = (host: string, tunnel: Partial<SharedTunnel> & { slots: readonly Slot[] }): RemoteTunnel => {
  const { slots, ...rest } = tunnel;
  return { host, tunnel: { epoch: 1, settled: true, keys: slots.map(key), ...rest } };
};
const both: OwnTunnel = { epoch: 2, slots: [0, 1] };

test('the greatest epoch counts', () => {
  assert.is(nextEpoch(3, []), 3);
  assert.is(nextEpoch(3, [remote('b', { epoch: 5, slots: [1] }), remote('c', { epoch: 2, slots: [0] })]), 5);
});

test('the old slot is used until hands are shaken in the new one; a way that is dead is not waited for', () => {
  const peer = remote('b', { slots: [0, 1] });
  const shakenIn =
    (...slots: Slot[]) =>
    (_host: string, slot: Slot) =>
      slots.includes(slot);
  assert.is(chooseSlot(both, peer, shakenIn(1)), 1);
  assert.is(chooseSlot(both, peer, shakenIn(0, 1)), 0);
  assert.is(chooseSlot(both, peer, shakenIn()), 0);
  assert.is(chooseSlot(both, remote('b', { slots: [1] }), shakenIn()), 1, 'who has no new key yet');
  assert.is(chooseSlot({ epoch: 2, slots: [0] }, remote('b', { slots: [1] }), shakenIn()), undefined);
});

test('old keys go when everybody has said that nobody uses them', () => {
  const settled = { ...both, settled: true };
  assert.equal(spentSlots(settled, [remote('b', { epoch: 2, slots: [0, 1] })]), [1]);
  assert.equal(spentSlots(settled, [remote('b', { epoch: 2, settled: false, slots: [0, 1] })]), []);
  assert.equal(spentSlots(settled, [remote('b', { epoch: 1, slots: [1] })]), []);
  assert.equal(spentSlots({ ...settled, settled: false }, []), []);
});

test('hosts that hear of each other in any order: every send finds a key that the other side has, and all end with one', () => {
  // A small world: each step one host learns what another one last told, or acts, or hands are shaken.
  for (let seed = 1; seed <= 200; seed += 1) {
    let state = seed;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor(state / 65_536) % below;
    };
    const names = ['a', 'b', 'c'];
    const hosts = names.map(() => ({
      epoch: 1,
      slots: [1] as Slot[],
      settled: true,
      heard: new Map<string, SharedTunnel>(),
    }));
    type World = (typeof hosts)[number];
    const tell = ({ epoch, settled, slots }: World): SharedTunnel => ({ epoch, settled, keys: slots.map(key) });
    for (const [i, host] of hosts.entries())
      for (const [j, other] of hosts.entries()) if (i !== j) host.heard.set(names[j] ?? '', tell(other));
    const shaken = new Set<string>();
    const remotes = (host: World) => [...host.heard].map(([name, tunnel]) => ({ host: name, tunnel }));
    const act = (index: number) => {
      const host = hosts[index] as World;
      host.epoch = nextEpoch(host.epoch, remotes(host));
      if (!host.slots.includes(slotOf(host.epoch))) host.slots.push(slotOf(host.epoch));
      const hasShaken = (name: string, slot: Slot) => shaken.has([names[index], name].sort().join() + slot);
      for (const one of remotes(host)) {
        const slot = chooseSlot(host, one, hasShaken);
        const other = hosts[names.indexOf(one.host)] as World;
        assert.ok(slot !== undefined && other.slots.includes(slot), `seed ${seed}: ${names[index]} to ${one.host}`);
      }
      host.settled = isSettled(host, remotes(host), hasShaken);
      for (const slot of spentSlots(host, remotes(host))) host.slots.splice(host.slots.indexOf(slot), 1);
    };
    const learn = (i: number, j: number) => hosts[i]?.heard.set(names[j] ?? '', tell(hosts[j] as World));
    const shake = (i: number, j: number) => {
      for (const slot of [0, 1] as const) {
        const know = [i, j].every((one) =>
          hosts[one]?.heard.get(names[i + j - one] ?? '')?.keys.some((k) => k.slot === slot),
        );
        if (know && hosts[i]?.slots.includes(slot) && hosts[j]?.slots.includes(slot))
          shaken.add([names[i], names[j]].sort().join() + slot);
      }
    };
    // Hands are shaken in the first slot before anything changes.
    for (const [i, j] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const)
      shake(i, j);
    const first = hosts[random(3)] as World;
    first.epoch = 2;
    first.slots.push(0);
    first.settled = false;
    for (let step = 0; step < 400; step += 1) {
      const i = random(3);
      const j = (i + 1 + random(2)) % 3;
      [() => act(i), () => learn(i, j), () => shake(i, j)][random(3)]?.();
    }
    for (const host of hosts) assert.equal([host.epoch, host.slots, host.settled], [2, [0], true], `seed ${seed}`);
  }
});

test.run();
