import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import { cidrHasIp, parseCidr } from '../address/cidr.ts';
import { formatIp, parseIp } from '../address/ip.ts';
import { type AddressWish, Pool } from './pool.ts';

const settings = { quarantineMs: 60_000, stickyMs: 3_600_000, warnPercent: 90 };

/** A pool with the driver's two steps in one, and addresses as text. */
class TestPool {
  readonly pool: Pool;
  now = 1_000_000;

  constructor(cidr: string, subPool?: string, own = settings) {
    this.pool = new Pool(parseCidr(cidr), subPool === undefined ? undefined : parseCidr(subPool), own);
  }

  request(wish: Partial<Omit<AddressWish, 'address'>> & { readonly address?: string } = {}): string {
    const { address, ...rest } = wish;
    const chosen = this.pool.choose(
      { kind: 'endpoint', ...rest, ...(address === undefined ? {} : { address: parseIp(address).value }) },
      this.now,
    );
    for (const old of this.pool.expired(this.now)) if (old !== chosen.value) this.pool.remove(old);
    this.pool.put(chosen.value, chosen.record);
    return formatIp({ family: this.pool.cidr.family, value: chosen.value });
  }

  release(address: string): void {
    const { value } = parseIp(address);
    const kept = this.pool.chooseRelease(value, this.now);
    if (kept === undefined) this.pool.remove(value);
    else this.pool.put(value, kept);
  }
}

const code = (expected: string) => (error: Error) => error instanceof PluginError && error.code === expected;

test('the gateway is first, containers follow, and special addresses are never given', () => {
  const pool = new TestPool('10.0.0.0/29');
  assert.is(pool.request({ kind: 'gateway' }), '10.0.0.1');
  assert.equal(
    [pool.request(), pool.request(), pool.request(), pool.request(), pool.request()],
    ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'],
  );
  assert.throws(() => pool.request(), code('IPAM_POOL_FULL'));
  assert.throws(() => pool.request({ address: '10.0.0.0' }), code('IPAM_ADDRESS_RESERVED'));
  assert.throws(() => pool.request({ address: '10.0.0.7' }), code('IPAM_ADDRESS_RESERVED'));
  assert.throws(() => pool.request({ address: '10.0.0.8' }), code('IPAM_ADDRESS_OUTSIDE'));
  assert.throws(() => pool.request({ address: '10.0.0.3' }), code('IPAM_ADDRESS_IN_USE'));
  assert.throws(() => pool.request({ address: '10.0.0.1' }), code('IPAM_ADDRESS_IN_USE'));
  assert.is(pool.request({ address: '10.0.0.1', kind: 'gateway' }), '10.0.0.1', 'a repeat of the gateway');
});

test('IPv6 keeps the subnet-router anycast address and gives the last one', () => {
  const pool = new TestPool('fd00::/126');
  assert.throws(() => pool.request({ address: 'fd00::' }), code('IPAM_ADDRESS_RESERVED'));
  assert.equal([pool.request(), pool.request(), pool.request()], ['fd00::1', 'fd00::2', 'fd00::3']);
  assert.throws(() => pool.request(), code('IPAM_POOL_FULL'));
});

test('blocks of one and two addresses are used whole', () => {
  for (const [cidr, size] of [
    ['10.0.0.0/31', 2],
    ['10.0.0.0/32', 1],
    ['fd00::/127', 2],
    ['fd00::/128', 1],
  ] as const) {
    const pool = new TestPool(cidr);
    const given = new Set(Array.from({ length: size }, () => pool.request()));
    assert.is(given.size, size, cidr);
    assert.throws(() => pool.request(), code('IPAM_POOL_FULL'));
  }
});

test('a sub-pool gives the dynamic addresses, explicit ones come from the whole pool', () => {
  const pool = new TestPool('10.101.0.0/16', '10.101.5.0/29');
  assert.is(pool.request({ kind: 'gateway' }), '10.101.5.1');
  assert.is(pool.request({ address: '10.101.0.254' }), '10.101.0.254');
  assert.is(pool.pool.used, 1, 'what is outside the range does not count');
  const given = Array.from({ length: 7 }, () => pool.request());
  assert.is(new Set(given).size, 7);
  assert.ok(given.every((address) => cidrHasIp(parseCidr('10.101.5.0/29'), parseIp(address))));
  assert.is(given.at(-1), '10.101.5.0', 'the one that looks like a network comes last');
  assert.throws(() => pool.request(), code('IPAM_POOL_FULL'));
  assert.throws(() => new TestPool('10.0.0.0/24', '10.0.0.0/32').request(), code('IPAM_POOL_FULL'));
});

test('a released address is not given again at once', () => {
  const pool = new TestPool('10.0.0.0/28');
  const first = pool.request();
  pool.release(first);
  const next = Array.from({ length: 13 }, () => pool.request());
  assert.not(next.includes(first));
  assert.is(pool.request(), first, 'only when nothing else is left');
});

test('the quarantine ends', () => {
  const pool = new TestPool('10.0.0.0/29');
  const [one, two] = [pool.request(), pool.request()];
  for (let count = 0; count < 4; count++) pool.request();
  pool.release(two);
  pool.now += 1000;
  pool.release(one);
  assert.is(pool.request(), two, 'the one that was released first');
  pool.release(two);
  pool.now += settings.quarantineMs;
  assert.is(pool.request(), one, 'both are free again: the search goes round');
  assert.is(pool.pool.keptCount, 0);
});

test('a container that comes back gets its old address', () => {
  const pool = new TestPool('10.0.0.0/28');
  const web = pool.request({ owner: 'name:web' });
  pool.release(web);
  const others = Array.from({ length: 5 }, () => pool.request());
  assert.not(others.includes(web));
  assert.is(pool.request({ owner: 'name:web' }), web);
  pool.release(web);
  pool.now += settings.stickyMs;
  assert.not.equal(pool.request({ owner: 'name:db' }), web, 'still round the pool');
});

test('a name alone does not take an address that is in use: containers can be renamed', () => {
  const pool = new TestPool('10.0.0.0/28');
  const web = pool.request({ owner: 'name:web' });
  assert.is.not(pool.request({ owner: 'name:web' }), web);
  const lost = pool.request({ owner: 'name:lost' });
  pool.pool.missingSince.set(parseIp(lost).value, pool.now);
  assert.is(pool.request({ owner: 'name:lost' }), lost, 'but one that nobody accounts for it does');
});

test('an explicit address is kept for its return, and can be named by anybody', () => {
  const pool = new TestPool('10.0.0.0/29');
  pool.request({ address: '10.0.0.2' });
  pool.release('10.0.0.2');
  pool.now += settings.quarantineMs;
  assert.not(Array.from({ length: 5 }, () => pool.request()).includes('10.0.0.2'));
  assert.is(pool.request({ address: '10.0.0.2', owner: 'name:new' }), '10.0.0.2');
});

test('without quarantine and memory an address is free at once', () => {
  const pool = new TestPool('10.0.0.0/30', undefined, { ...settings, quarantineMs: 0, stickyMs: 0 });
  const address = pool.request({ owner: 'name:web' });
  pool.release(address);
  assert.is(pool.pool.keptCount, 0);
});

test('what an engine replays succeeds once', () => {
  const pool = new TestPool('10.0.0.0/29');
  const address = pool.request();
  assert.throws(() => pool.request({ address }), code('IPAM_ADDRESS_IN_USE'));
  pool.pool.expectReplay(pool.now);
  assert.is(pool.request({ address }), address);
  assert.throws(() => pool.request({ address }), code('IPAM_ADDRESS_IN_USE'));
  pool.pool.expectReplay(pool.now);
  pool.now += 60_000;
  assert.throws(() => pool.request({ address }), code('IPAM_ADDRESS_IN_USE'), 'a minute later it is somebody else');
});

test('a /8 and a /64 answer from any state', () => {
  for (const cidr of ['10.0.0.0/8', 'fd00::/64']) {
    const pool = new TestPool(cidr);
    const given = new Set(Array.from({ length: 2000 }, () => pool.request()));
    assert.is(given.size, 2000);
    for (const address of given) pool.release(address);
    assert.not(given.has(pool.request()), 'all are in quarantine');
  }
});

/** Random requests and releases against a plain Set: never double, never outside, and full exactly when the Set is full. */
const verbs = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        verb: fc.constant('any' as const),
        owner: fc.option(fc.nat({ max: 5 }), { nil: undefined }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ verb: fc.constant('named' as const), at: fc.nat({ max: 17 }) }) },
    { weight: 3, arbitrary: fc.record({ verb: fc.constant('release' as const), at: fc.nat({ max: 15 }) }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constant('wait' as const), ms: fc.nat({ max: 4_000_000 }) }) },
  ),
  { minLength: 20, maxLength: 120 },
);

for (const [cidr, subPool] of [
  ['10.0.0.0/28'],
  ['10.0.0.0/28', '10.0.0.8/30'],
  ['fd00::/124'],
  ['10.0.0.0/28', '10.0.0.0/30'],
] as const) {
  test(`agrees with a Set: ${cidr} ${subPool ?? ''}`, () => {
    fc.assert(
      fc.property(verbs, (steps) => {
        const pool = new TestPool(cidr, subPool);
        const model = new Set<string>();
        const base = pool.pool.cidr.network;
        const text = (at: number): string => formatIp({ family: pool.pool.cidr.family, value: base + BigInt(at) });
        const dynamic = Array.from({ length: 16 }, (_, at) => base + BigInt(at)).filter(
          (value) => value >= pool.pool.dynamic.first && value <= pool.pool.dynamic.last,
        );
        for (const step of steps) {
          pool.now += 1;
          if (step.verb === 'any') {
            const free = dynamic.filter((value) => !model.has(formatIp({ family: pool.pool.cidr.family, value })));
            if (free.length === 0) {
              assert.throws(() => pool.request(), code('IPAM_POOL_FULL'));
              continue;
            }
            const given = pool.request(step.owner === undefined ? {} : { owner: `name:${step.owner}` });
            assert.not(model.has(given), `${given} twice`);
            const { value } = parseIp(given);
            assert.ok(value >= pool.pool.usable.first && value <= pool.pool.usable.last, `${given} outside`);
            model.add(given);
          } else if (step.verb === 'named') {
            const address = text(step.at);
            const { value } = parseIp(address);
            const usable = value >= pool.pool.usable.first && value <= pool.pool.usable.last;
            if (usable && !model.has(address)) {
              assert.is(pool.request({ address }), address);
              model.add(address);
            } else
              assert.throws(
                () => pool.request({ address }),
                (error: Error) => error instanceof PluginError,
              );
          } else if (step.verb === 'release') {
            if (model.delete(text(step.at))) pool.release(text(step.at));
          } else pool.now += step.ms;
          const inDynamic = dynamic.filter((value) =>
            model.has(formatIp({ family: pool.pool.cidr.family, value })),
          ).length;
          assert.is(pool.pool.used, inDynamic);
        }
      }),
      { numRuns: 60 },
    );
  });
}

test('of a subnet that hosts share only own blocks are given, and the gateway is the same for everybody', () => {
  const blocks = ['10.0.0.32/30'];
  const test = new TestPool('10.0.0.0/24', undefined, settings);
  const shared = new Pool(parseCidr('10.0.0.0/24'), undefined, settings, () => blocks.map(parseCidr));
  Object.assign(test, { pool: shared });
  assert.is(test.request({ kind: 'gateway' }), '10.0.0.1');
  const given = Array.from({ length: 4 }, () => test.request());
  assert.equal(given, ['10.0.0.32', '10.0.0.33', '10.0.0.34', '10.0.0.35']);
  assert.is(shared.hasFree(), false);
  assert.throws(() => test.request(), /all 4 of 10\.0\.0\.32 to 10\.0\.0\.35 are in use/);
  blocks.push('10.0.0.8/30');
  assert.equal(Array.from({ length: 4 }, () => test.request()).sort(), [
    '10.0.0.10',
    '10.0.0.11',
    '10.0.0.8',
    '10.0.0.9',
  ]);
  test.release('10.0.0.33');
  assert.is(test.request(), '10.0.0.33', 'kept back, and given when there is nothing else');
});

test.run();
