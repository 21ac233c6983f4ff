/**
 * A guest on a network of ours: a namespace of its own with one endpoint, made and taken away over the plugin protocol, as an
 * engine does it. Its address comes from cleat-ipam where the network's does, else it is the highest that no endpoint has.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createSandbox, deleteSandbox } from '../../daemon-shim/sandbox/sandbox.ts';
import { moveIn, setDefaultRoutes } from '../linux/sandbox-link.ts';
import { PluginClient } from '../sdk/index.ts';
import { callControl } from './control.ts';
import { findNetworkId } from './engine.ts';
import { CommandFailure } from './exit.ts';
import { highestFree } from './guest-address.ts';

export interface GuestOptions {
  readonly runDir: string;
  readonly pluginDir: string;
  readonly engine: string | undefined;
  /** Name at the engine, or an id (or its beginning) of ours. */
  readonly network: string;
}

interface OurNetwork {
  readonly networkId: string;
  readonly driver: string;
  readonly internal: boolean;
  readonly pools: readonly { readonly pool: string; readonly gateway?: string }[];
}

interface NetworkStatus {
  readonly endpoints: readonly { readonly networkId: string; readonly addresses: readonly string[] }[];
  readonly pools: readonly { readonly poolId: string; readonly pool: string; readonly network?: string }[];
}

/** One step back; what it returns is waited for. */
type Undo = () => unknown;

/** Runs `visit` with the path of the guest's namespace, and takes the guest away afterwards, whatever happened. */
export async function visitNetwork(options: GuestOptions, visit: (path: string) => Promise<number>): Promise<number> {
  const network = await findNetwork(options);
  const status = await callControl<NetworkStatus>(options.runDir, 'networkd', 'GET', '/status');
  const undo: Undo[] = [];
  try {
    const addresses: string[] = [];
    for (const { pool, gateway } of network.pools)
      addresses.push(await takeAddress(options, status, network, pool, gateway, undo));
    const path = `/run/netns/cleat-guest-${process.pid}`;
    createSandbox(path);
    undo.push(() => deleteSandbox(path));
    await joinAsGuest(options, network, addresses, path, undo);
    return await visit(path);
  } finally {
    for (const step of undo.reverse()) await takeBack(step);
  }
}

/** Goes on after a failure: the other steps still have to be taken. */
async function takeBack(step: Undo): Promise<void> {
  try {
    await step();
  } catch (error) {
    process.stderr.write(`cleat: ${(error as Error).message}\n`);
  }
}

async function findNetwork(options: GuestOptions): Promise<OurNetwork> {
  const wanted = (await findNetworkId(options.engine, options.network)) ?? options.network;
  const networks = await callControl<readonly OurNetwork[]>(options.runDir, 'networkd', 'GET', '/networks');
  const found = networks.filter((network) => network.networkId.startsWith(wanted));
  if (found.length === 1 && found[0] !== undefined) return found[0];
  const known = networks.map((network) => network.networkId.slice(0, 12)).join(', ') || 'none';
  throw new CommandFailure(
    `network "${options.network}" is ${found.length > 1 ? 'ambiguous' : 'not one of ours'}; ours are: ${known}`,
  );
}

/** CIDR. */
async function takeAddress(
  options: GuestOptions,
  status: NetworkStatus,
  network: OurNetwork,
  pool: string,
  gateway: string | undefined,
  undo: Undo[],
): Promise<string> {
  const own = status.pools.find((candidate) => candidate.network === network.networkId && candidate.pool === pool);
  if (own === undefined) {
    const used = status.endpoints.flatMap((endpoint) => endpoint.addresses);
    return highestFree(pool, gateway === undefined ? used : [...used, gateway]);
  }
  const { ipam } = clientOf(options, 'cleat-ipam', undo);
  const { address } = await ipam.requestAddress({ poolId: own.poolId, isGateway: false, serial: false, options: {} });
  undo.push(() => ipam.releaseAddress({ poolId: own.poolId, address: address.split('/')[0] ?? address }));
  return address;
}

async function joinAsGuest(
  options: GuestOptions,
  network: OurNetwork,
  addresses: readonly string[],
  path: string,
  undo: Undo[],
): Promise<void> {
  const driver = clientOf(options, network.driver, undo).network;
  const ids = { networkId: network.networkId, endpointId: randomBytes(32).toString('hex') };
  const address = addresses.find((candidate) => !candidate.includes(':'));
  const addressIPv6 = addresses.find((candidate) => candidate.includes(':'));
  const ports = { exposedPorts: [], portBindings: [] };
  const given = { ...(address ? { address } : {}), ...(addressIPv6 ? { addressIPv6 } : {}) };
  const filled = await driver.createEndpoint({ ...ids, interface: given, options: {}, ...ports });
  undo.push(() => driver.deleteEndpoint(ids));
  const reply = await driver.join({ ...ids, sandboxKey: path, options: {}, ...ports });
  undo.push(() => driver.leave(ids));
  moveIn(path, { ...reply.interfaceName, ...filled, addresses, staticRoutes: reply.staticRoutes ?? [] });
  if (!network.internal) setDefaultRoutes(path, reply);
}

function clientOf(options: GuestOptions, name: string, undo: Undo[]): PluginClient {
  const client = new PluginClient({ url: `unix://${join(options.pluginDir, `${name}.sock`)}` });
  undo.unshift(() => client.close());
  return client;
}
