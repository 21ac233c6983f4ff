/**
 * Hosts of a network with etcd, as the store sees them: the control plane of cleat-overlay as the daemon runs it, a store of
 * records for each, and no data plane. A process of its own, so that many of them are more than one event loop; asked by
 * messages (`PlaneRequest`), each answered once.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { parseCidr } from '../../../plugins/network/address/cidr.ts';
import { formatIp } from '../../../plugins/network/address/ip.ts';
import type { SharedEndpoint, SharedNetwork } from '../../../plugins/network/overlay/control-plane.ts';
import { readEtcdConfig } from '../../../plugins/network/overlay/etcd/config.ts';
import { EtcdPlane } from '../../../plugins/network/overlay/etcd/etcd-plane.ts';
import { openStore } from '../../../plugins/store/store.ts';

export type PlaneRequest =
  | { readonly kind: 'open'; readonly index: number; readonly setting: PlaneSetting }
  /** Its daemon ends, without a word to anybody. */
  | { readonly kind: 'die'; readonly index: number }
  | { readonly kind: 'put' | 'remove'; readonly index: number; readonly endpoint: number }
  /** Until every plane here but the host itself sees so many containers of the host. */
  | { readonly kind: 'expect'; readonly host: string; readonly endpoints: number }
  /** Until the plane sees so many of all other hosts together. */
  | { readonly kind: 'complete'; readonly index: number; readonly endpoints: number }
  | { readonly kind: 'count' };

export interface PlaneSetting {
  readonly etcd: string;
  readonly network: Omit<SharedNetwork, 'host' | 'attributes' | 'endpoints'>;
  readonly endpoints: number;
  readonly leaseMs: number;
  /** Folder for their records. */
  readonly dir: string;
}

export interface PlaneAnswer {
  readonly id: number;
  readonly error?: string;
  /** When it was done: milliseconds since 1970, of the one clock of this machine. */
  readonly at: number;
  readonly counts?: { readonly sessions: number; readonly planes: number; readonly complaints: number };
}

interface Plane {
  readonly host: string;
  readonly plane: EtcdPlane;
  readonly setting: PlaneSetting;
  /** Its range of addresses. */
  first: bigint;
}

/** Waits for what the others' part of a plane is to be. */
interface Watcher {
  readonly done: (plane: Plane) => boolean;
  readonly open: Set<Plane>;
  readonly resolve: () => void;
}

const planes = new Map<number, Plane>();
const watchers = new Set<Watcher>();
let complaints = 0;
const log = {
  info: () => {},
  warn: (fields: object, message: string) => {
    complaints += 1;
    if (complaints <= 20) process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
};

/** Of the host with this number, on an underlay that is never used. */
export const planeHost = (index: number): string => `198.18.${index >> 8}.${index & 255}`;

async function open(index: number, setting: PlaneSetting): Promise<void> {
  const { network, leaseMs, etcd, dir } = setting;
  const plane = new EtcdPlane({
    config: readEtcdConfig({ endpoints: [etcd] }),
    store: openStore(join(mkdtempSync(join(dir, 'plane-')), 'records.db')),
    node: `node-${index}`,
    hostName: `host-${index}`,
    leaseMs: () => leaseMs,
    shares: undefined,
    onChange: () => changed(one),
    log,
  });
  const host = planeHost(index);
  const one: Plane = { host, plane, setting, first: 0n };
  planes.set(index, one);
  const whole = { ...network, host, attributes: {}, endpoints: [] };
  const [pool = ''] = network.pools;
  await persist(() => plane.define(whole));
  await persist(() => plane.claim(network.name, pool));
  const [block = parseCidr(pool)] = plane.held(network.name, pool);
  one.first = block.network + 1n;
  const endpoints = Array.from({ length: setting.endpoints }, (_, number) => endpointOf(one, index, number));
  plane.announce({ ...whole, endpoints });
}

/** As an engine does with a call that failed. */
async function persist(call: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 10) throw error;
      complaints += 1;
    }
  }
}

function endpointOf({ first }: Plane, index: number, number: number): SharedEndpoint {
  const bytes = [index >> 8, index & 255, number >> 8, number & 255];
  return {
    id: Buffer.from(`${index} ${number} `.padEnd(32, 'x')).toString('hex'),
    addresses: [formatIp({ family: 4, value: first + BigInt(number) })],
    mac: ['02', '00', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':'),
    names: [`web-${index}-${number}`, `web-${number}`],
  };
}

function changed(plane: Plane): void {
  for (const watcher of watchers) {
    if (!watcher.open.has(plane) || !watcher.done(plane)) continue;
    watcher.open.delete(plane);
    if (watcher.open.size > 0) continue;
    watchers.delete(watcher);
    watcher.resolve();
  }
}

async function until(who: Iterable<Plane>, done: (plane: Plane) => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const open = new Set(who);
    if (open.size === 0) return resolve();
    watchers.add({ done, open, resolve });
    for (const plane of [...open]) changed(plane);
  });
}

const partsOf = ({ plane, setting }: Plane) => plane.remoteParts(setting.network.name);

async function answer(request: PlaneRequest): Promise<Pick<PlaneAnswer, 'counts'>> {
  if (request.kind === 'count') {
    const sessions = [...planes.values()].reduce((sum, { plane }) => sum + plane.status().sessions, 0);
    return { counts: { sessions, planes: planes.size, complaints } };
  }
  if (request.kind === 'open') {
    await open(request.index, request.setting);
    return {};
  }
  if (request.kind === 'expect') {
    const { host, endpoints } = request;
    const others = [...planes.values()].filter((plane) => plane.host !== host);
    await until(others, (plane) => {
      const part = partsOf(plane).find(({ network }) => network.host === host);
      return (part?.network.endpoints.length ?? 0) === endpoints;
    });
    return {};
  }
  const one = planes.get(request.index);
  if (!one) throw new Error(`no plane ${request.index} here`);
  if (request.kind === 'complete') {
    await until(
      [one],
      (plane) => partsOf(plane).reduce((sum, part) => sum + part.network.endpoints.length, 0) === request.endpoints,
    );
  } else if (request.kind === 'die') {
    planes.delete(request.index);
    await one.plane.close();
  } else {
    const endpoint = endpointOf(one, request.index, request.endpoint);
    const { name } = one.setting.network;
    one.plane.change(
      name,
      request.kind === 'put' ? { kind: 'put', endpoint } : { kind: 'remove', endpointId: endpoint.id },
    );
  }
  return {};
}

if (process.send) {
  process.on('message', ({ id, request }: { readonly id: number; readonly request: PlaneRequest }) => {
    const reply = (rest: Partial<PlaneAnswer>) =>
      process.connected && process.send?.({ id, at: performance.timeOrigin + performance.now(), ...rest });
    answer(request).then(reply, (error: Error) => reply({ error: error.message }));
  });
  process.on('disconnect', () => process.exit(0));
}
