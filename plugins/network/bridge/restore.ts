/**
 * At start: records, kernel and rules brought together again. The records are the truth for what should be; the kernel for
 * what is left of it.
 *
 *     record, no bridge     (reboot) the bridge is built again
 *     record, no host end   the sandbox ended without us: the endpoint is dropped
 *     half an endpoint      never joined, or left and not deleted, for a while: dropped, with its link (see sweep.ts)
 *     no record             a link of ours that no record knows: sweep.ts removes it, for all drivers together
 */
import { existsSync } from 'node:fs';
import { findLink, type Link, listLinks } from '../../linux/netlink/link.ts';
import { hostEndName } from '../link/names.ts';
import { reattachVeth } from '../link/veth.ts';
import type { RegistryEndpoint } from '../registry.ts';
import { ensureBridge } from './device.ts';
import type { BridgeDriver } from './driver.ts';
import { linkOwner, linkRules } from './linked-ports.ts';
import { parseEndpointOptions } from './options.ts';
import type { BridgePlan } from './plan.ts';
import type { EndpointRecord, NetworkRecord } from './records.ts';
import { registryEndpoint, registryNetwork } from './views.ts';

/** Notes rules in the firewall and fills the registry; the caller writes the table afterwards. */
export function restoreBridges(driver: BridgeDriver): void {
  const { registry, socket, log } = driver.parts;
  const endpoints = driver.records.endpoints.entries().map(([, record]) => record);
  const byNetwork = Map.groupBy(endpoints, ({ networkId }) => networkId);
  for (const [networkId, record] of driver.records.networks.entries()) {
    const plan = driver.plan(networkId);
    const own = byNetwork.get(networkId) ?? [];
    byNetwork.delete(networkId);
    if (!record.confirmed) driver.suspects.add(networkId);
    registry.putNetwork(registryNetwork(plan, record));
    restoreNetwork(driver, plan, record);
    for (const endpoint of own)
      restoreEndpoint(driver, plan, endpoint, findLink(socket, hostEndName(endpoint.endpointId)));
  }
  for (const orphan of [...byNetwork.values()].flat()) {
    log.warn({ endpoint: orphan.endpointId }, 'an endpoint without its network was dropped');
    driver.records.endpoints.delete(orphan.endpointId);
  }
}

function restoreNetwork(driver: BridgeDriver, plan: BridgePlan, record: NetworkRecord): void {
  const { socket, firewall, log } = driver.parts;
  firewall.noteNetwork(plan.rules(record.madeByUs));
  try {
    driver.enableForwarding(plan);
    if (!record.madeByUs) return;
    if (!findLink(socket, plan.bridge))
      log.info({ network: record.networkId, bridge: plan.bridge }, 'bridge built again');
    ensureBridge(socket, plan);
  } catch (error) {
    // One network that cannot be had must not keep the others from working.
    log.warn(
      { err: error, network: record.networkId },
      'a network could not be restored; its containers have no connection',
    );
  }
}

function restoreEndpoint(
  driver: BridgeDriver,
  plan: BridgePlan,
  endpoint: EndpointRecord,
  hostEnd: Link | undefined,
): void {
  const { registry, socket, log } = driver.parts;
  if (!hostEnd) {
    log.info({ endpoint: endpoint.endpointId }, 'an endpoint whose sandbox is gone was dropped');
    driver.records.endpoints.delete(endpoint.endpointId);
    return;
  }
  registry.putEndpoint(registryEndpoint(endpoint));
  if (!plan.options.interContainer) {
    const { linkedPorts } = parseEndpointOptions(endpoint.options, driver.parts.services);
    driver.parts.firewall.notePorts(linkOwner(endpoint.endpointId), linkRules(endpoint.address, linkedPorts));
  }
  const bridge = findLink(socket, plan.bridge);
  if (!bridge || hostEnd.master === bridge.index) return;
  log.info({ endpoint: endpoint.endpointId, link: hostEnd.name }, 'a link was put back on its bridge');
  reattachVeth(socket, endpoint.endpointId, plan.bridge, !plan.options.interContainer);
}

/** Builds a bridge again that somebody deleted under us, and puts its links back. Nothing to do while it is there. */
export function rebuildBridge(driver: BridgeDriver, networkId: string): void {
  const { socket } = driver.parts;
  const plan = driver.plan(networkId);
  const record = driver.network(networkId);
  if (!record.madeByUs || findLink(socket, plan.bridge)) return;
  restoreNetwork(driver, plan, record);
  for (const endpoint of driver.endpointsOf(networkId)) {
    const hostEnd = findLink(socket, hostEndName(endpoint.endpointId));
    if (hostEnd) restoreEndpoint(driver, plan, endpoint, hostEnd);
  }
}

/** How long the engine may take between two verbs of one endpoint: its retries of a failed call go on for 15 s. */
export const patienceMs = 30_000;

/**
 * Endpoints that nobody will ever ask about again: their sandbox ended while we were away or the engine forgot them. Cheap;
 * called from time to time.
 */
export async function dropStaleEndpoints(driver: BridgeDriver, startedAt: number): Promise<void> {
  const { socket, log, now, store, remover, registry, isForgotten } = driver.parts;
  const links = new Map(listLinks(socket, { kind: 'veth' }).map((link) => [link.name, link]));
  for (const [endpointId, endpoint] of driver.records.endpoints.entries()) {
    const hostEnd = links.get(hostEndName(endpointId));
    const known = staleReason(
      endpoint,
      hostEnd,
      now().getTime() - startedAt,
      now().getTime(),
      registry.findEndpoint(endpointId),
    );
    const reason =
      known ?? (isForgotten(endpointId) ? 'no engine knows it and nothing runs in its sandbox' : undefined);
    if (reason === undefined) {
      driver.noteSandbox(endpoint);
      continue;
    }
    log.info({ endpoint: endpointId, network: endpoint.networkId, reason }, 'a stale endpoint was dropped');
    store.transaction(() => driver.forgetEndpoint(endpointId));
    await remover.remove(hostEndName(endpointId));
  }
}

function staleReason(
  endpoint: EndpointRecord,
  hostEnd: Link | undefined,
  upMs: number,
  now: number,
  seen: RegistryEndpoint | undefined,
): string | undefined {
  const age = now - Date.parse(endpoint.since);
  if (!hostEnd) return age > 1000 ? 'its link is gone' : undefined;
  if (endpoint.state === 'joined' && endpoint.sandboxSeen && !existsSync(endpoint.sandboxKey ?? '')) {
    // The engine takes a sandbox away only after it has left its networks.
    return age > 1000 ? 'its sandbox is gone' : undefined;
  }
  if (seen?.state === 'left')
    return now - (seen.since ?? now) < patienceMs ? undefined : 'it was left and never deleted';
  // Verbs that the engine is still repeating may be about to arrive.
  if (age < patienceMs || upMs < patienceMs) return undefined;
  if (endpoint.state === 'created') return 'it was never joined';
  // The other end of the veth is in our own namespace: the engine has taken it out of the sandbox.
  return hostEnd.parentNetnsId === undefined ? 'its sandbox has given the link back' : undefined;
}
