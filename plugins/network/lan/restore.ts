/**
 * At start, and whenever a parent comes back: records and kernel brought together.
 *
 *     record, no parent      it is made again when we made it; else the network waits until it is there
 *     joined, no sandbox     the container ended without us: the endpoint is dropped
 *     joined, no link        its parent had gone, and the link with it: made again inside the sandbox, as it was
 *     half an endpoint       never joined, or left and not deleted, for a while: dropped
 */
import { existsSync } from 'node:fs';
import { findLink } from '../../linux/netlink/link.ts';
import { openNetns } from '../../linux/netns.ts';
import { moveIn, setDefaultRoutes } from '../../linux/sandbox-link.ts';
import { PluginError } from '../../sdk/errors.ts';
import { containerEndName } from '../link/names.ts';
import { announceInside, findInside } from '../neighbour/announce.ts';
import { addressesOf, type LanDriver, type LanNetwork } from './driver.ts';
import { parentName } from './parent.ts';
import type { LanEndpointRecord } from './records.ts';

/** How long the engine may take between two verbs of one endpoint: its retries of a failed call go on for 15 s. */
const patienceMs = 30_000;

export function restoreLan(driver: LanDriver): void {
  const { registry } = driver.parts;
  for (const network of driver.networks()) {
    registry.putNetwork(driver.registryNetwork(network));
    for (const endpoint of driver.endpointsOf(network.record.networkId)) {
      registry.putEndpoint(driver.registryEndpoint(endpoint));
      const parent = driver.parents.find(network.wish);
      if (parent !== undefined) driver.holdAddresses(network, endpoint, parent);
    }
    restoreNetwork(driver, network);
  }
  for (const [endpointId, endpoint] of driver.records.endpoints.entries()) {
    if (!driver.records.networks.has(endpoint.networkId)) driver.records.endpoints.delete(endpointId);
  }
}

/** Parents that are missing are made again where they are ours; the host's own links and routes are what they should be. */
export function checkNetworks(driver: LanDriver): void {
  for (const network of driver.networks()) {
    const missing = driver.parents.find(network.wish) === undefined;
    if (missing || network.options.hostAccess !== 'off') restoreNetwork(driver, network);
  }
}

function restoreNetwork(driver: LanDriver, network: LanNetwork): void {
  const { networkId } = network.record;
  try {
    driver.parents.ensure(network.wish);
    driver.restoreAccess(network);
    driver.waiting.delete(networkId);
  } catch (error) {
    if (driver.waiting.has(networkId)) return;
    driver.waiting.add(networkId);
    driver.parts.log.warn(
      { err: error, network: networkId },
      'the parent of a network is not as it should be; its containers have no connection until it is',
    );
  }
}

/** Endpoints that nobody will ask about again are dropped; links that a vanished parent took along are made again. */
export async function checkEndpoints(driver: LanDriver, startedAt: number): Promise<void> {
  const { log } = driver.parts;
  for (const [endpointId, endpoint] of driver.records.endpoints.entries()) {
    const reason = staleReason(driver, endpoint, startedAt);
    if (reason !== undefined) {
      log.info({ endpoint: endpointId, network: endpoint.networkId, reason }, 'a stale endpoint was dropped');
      await driver.deleteEndpoint({ networkId: endpoint.networkId, endpointId });
      parkLeases(driver, endpoint);
    } else if (endpoint.state === 'joined') {
      rejoin(driver, driver.network(endpoint.networkId), endpoint);
    }
  }
}

/** Its engine may never say that its addresses are free; one that another endpoint has by now is not. */
function parkLeases(driver: LanDriver, endpoint: LanEndpointRecord): void {
  const { wish, record } = driver.network(endpoint.networkId);
  const held = new Set(driver.endpointsOf(record.networkId).flatMap(addressesOf));
  const free = addressesOf(endpoint).filter((address) => !held.has(address));
  driver.parts.leases.parkOn(parentName(wish), free);
}

function staleReason(driver: LanDriver, endpoint: LanEndpointRecord, startedAt: number): string | undefined {
  const age = Date.now() - Date.parse(endpoint.since);
  if (endpoint.state === 'joined') {
    const gone = endpoint.sandboxSeen && !existsSync(endpoint.sandboxKey ?? '');
    if (gone) return age > 1000 ? 'its sandbox is gone' : undefined;
    return driver.parts.isForgotten(endpoint.endpointId)
      ? 'no engine knows it and nothing runs in its sandbox'
      : undefined;
  }
  if (age < patienceMs || Date.now() - startedAt < patienceMs) return undefined;
  if (endpoint.state === 'left') return 'it was left and never deleted';
  return findLink(driver.parts.socket, containerEndName(endpoint.endpointId)) === undefined
    ? 'its link is gone'
    : 'it was never joined';
}

/** Puts the link into the sandbox again, with the name, MAC, addresses and routes that it had. */
function rejoin(driver: LanDriver, network: LanNetwork, endpoint: LanEndpointRecord): void {
  const { sandboxKey, insideName, endpointId } = endpoint;
  // Without its name it was never seen inside: the engine may still be about to move it.
  if (sandboxKey === undefined || insideName === undefined || !existsSync(sandboxKey)) return;
  const { guard, log, socket } = driver.parts;
  try {
    const parent = driver.parents.find(network.wish);
    if (
      parent === undefined ||
      findLink(socket, containerEndName(endpointId)) !== undefined ||
      isInside(sandboxKey, endpointId)
    )
      return;
    driver.makeLink(network, endpoint, parent);
    const reply = driver.joinReply(network, endpoint);
    moveIn(sandboxKey, {
      srcName: containerEndName(endpointId),
      dstPrefix: network.options.containerPrefix,
      dstName: insideName,
      ...(endpoint.macAddress !== undefined && { macAddress: endpoint.macAddress }),
      addresses: [endpoint.address, endpoint.addressIPv6].filter((cidr) => cidr !== undefined),
      staticRoutes: reply.staticRoutes ?? [],
    });
    setDefaultRoutes(sandboxKey, reply);
    guard.release(endpointId);
    driver.holdAddresses(network, endpoint, parent);
    announceInside({ sandboxKey, endpointId, addresses: addressesOf(endpoint) }, () => {});
    log.info({ endpoint: endpointId, link: insideName }, 'a link that its parent had taken along was made again');
  } catch (error) {
    log.warn(
      { err: error, endpoint: endpointId },
      error instanceof PluginError ? error.line : 'a link could not be made again',
    );
  }
}

function isInside(sandboxKey: string, endpointId: string): boolean {
  using netns = openNetns(sandboxKey);
  return findInside(netns, endpointId) !== undefined;
}
