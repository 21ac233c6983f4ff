/**
 * Where the answers are given: a listener on each gateway address of a network, and one inside each sandbox that asks for it. Follows the
 * registry; every opening is tried again while its link or its namespace is not there yet (Docker 20.10 makes the sandbox after the join).
 */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { openUdp } from '../../linux/datagram.ts';
import { isKernelError } from '../../linux/errors.ts';
import { inNetns, type Netns, openNetns } from '../../linux/netns.ts';
import { closeFd } from '../../linux/syscall.ts';
import { findIp, type Ip, ipToBytes, parseIp } from '../address/ip.ts';
import type { NetworkRegistry, RegistryEndpoint, RegistryEvent } from '../registry.ts';
import type { Directory, DnsNetwork } from './directory.ts';
import { EngineResolver } from './engine-resolver.ts';
import { type Listener, openListener } from './listener.ts';
import { PeerViews } from './peer-views.ts';
import type { QueryLog } from './query-log.ts';
import type { Responder } from './responder.ts';
import { takeOverResolver } from './takeover.ts';

const sandboxAddress = '127.0.0.11';
const dnsPort = 53;
const firstRetryMs = 5;
const longestRetryMs = 1000;
/** A sandbox that is not there after this long will not come: its container failed to start. */
const giveUpMs = 60_000;

export interface PlacementsParts {
  readonly registry: NetworkRegistry;
  readonly directory: Directory;
  readonly responder: Responder;
  readonly queryLog: QueryLog;
  readonly now: () => number;
  readonly log: Logger;
}

interface Gateway {
  readonly networkId: string;
  readonly address: string;
  /** Index and name of the link, so that a bridge that was made anew is noticed. */
  readonly link: string;
  readonly views: PeerViews;
  listener: Listener | undefined;
  closed: boolean;
}

interface Sandbox {
  readonly key: string;
  /** Endpoints in the order of joining. */
  readonly members: Map<string, string>;
  readonly views: PeerViews;
  netns: Netns | undefined;
  engine: EngineResolver | undefined;
  listener: Listener | undefined;
  takeover: { close(): void } | undefined;
  closed: boolean;
}

export interface PlacementStatus {
  readonly place: 'gateway' | 'sandbox';
  readonly where: string;
  readonly listening: boolean;
}

export class Placements {
  readonly #parts: PlacementsParts;
  readonly #gateways = new Map<string, Gateway>();
  readonly #sandboxes = new Map<string, Sandbox>();
  #open = true;

  constructor(parts: PlacementsParts) {
    this.#parts = parts;
    for (const entry of parts.directory.networks()) this.#placeNetwork(entry);
    for (const endpoint of parts.registry.endpoints()) this.#placeEndpoint(endpoint);
    // Registered after the directory's own listener: names are there before the places are.
    // After the verb that brought it about: sockets and rules in a sandbox cost milliseconds that no engine should wait for.
    parts.registry.subscribe((event) => setImmediate(() => this.#onEvent(event)));
    parts.directory.onViewsChanged(() => this.#refreshViews());
    parts.directory.onZoneChanged(() => this.#refreshEngines());
  }

  status(): PlacementStatus[] {
    return [
      ...[...this.#gateways.values()].map(({ address, networkId, listener }) => ({
        place: 'gateway' as const,
        where: `${address} on ${this.#parts.directory.nameOf(networkId) ?? networkId.slice(0, 12)}`,
        listening: listener !== undefined,
      })),
      ...[...this.#sandboxes.values()].map(({ key, listener }) => ({
        place: 'sandbox' as const,
        where: key,
        listening: listener !== undefined,
      })),
    ];
  }

  close(): void {
    this.#open = false;
    for (const gateway of this.#gateways.values()) closeGateway(gateway);
    for (const sandbox of this.#sandboxes.values()) closeSandbox(sandbox);
  }

  #onEvent(event: RegistryEvent): void {
    if (!this.#open) return;
    switch (event.kind) {
      case 'network-added': {
        const entry = this.#parts.directory.find(event.network.networkId);
        if (entry !== undefined) this.#placeNetwork(entry);
        break;
      }
      case 'network-removed':
        this.#removeGateways(event.network.networkId, new Set());
        break;
      case 'endpoint-added':
      case 'endpoint-changed':
        this.#placeEndpoint(event.endpoint);
        break;
      case 'endpoint-removed':
        this.#leaveSandboxes(event.endpoint.endpointId);
        break;
    }
  }

  #placeNetwork({ network, options }: DnsNetwork): void {
    const wanted = new Set<string>();
    const { networkId, hostInterface } = network;
    if (options.placement !== 'off' && hostInterface !== undefined) {
      for (const { gateway } of network.pools) if (gateway !== undefined) wanted.add(gateway);
    }
    this.#removeGateways(networkId, wanted);
    for (const address of wanted) {
      const id = `${networkId} ${address}`;
      const link = `${hostInterface} ${linkIndex(hostInterface)}`;
      const before = this.#gateways.get(id);
      if (before?.link === link) continue;
      if (before !== undefined) closeGateway(before);
      const views = new PeerViews(this.#parts.directory.viewOf([networkId]));
      const gateway: Gateway = { networkId, address, link, views, listener: undefined, closed: false };
      this.#gateways.set(id, gateway);
      void this.#openGateway(gateway, hostInterface as string, firstRetryMs);
    }
    this.#refreshViews();
  }

  #removeGateways(networkId: string, keep: ReadonlySet<string>): void {
    for (const [id, gateway] of this.#gateways) {
      if (gateway.networkId !== networkId || keep.has(gateway.address)) continue;
      closeGateway(gateway);
      this.#gateways.delete(id);
    }
  }

  async #openGateway(gateway: Gateway, device: string, waitMs: number): Promise<void> {
    const { responder, queryLog, now, log } = this.#parts;
    const { address, views } = gateway;
    try {
      const listener = await openListener({
        address,
        port: dnsPort,
        device,
        shared: true,
        views,
        responder,
        log: queryLog,
        now,
      });
      if (gateway.closed) listener.close();
      else gateway.listener = listener;
    } catch (error) {
      if (gateway.closed) return;
      if (waitMs >= longestRetryMs)
        log.warn({ err: error, address, device }, 'DNS cannot listen on the gateway address; trying again');
      const next = Math.min(waitMs * 2, longestRetryMs * 8);
      setTimeout(() => void this.#openGateway(gateway, device, next), waitMs).unref();
    }
  }

  #placeEndpoint(endpoint: RegistryEndpoint): void {
    const { endpointId, networkId, sandboxKey, state } = endpoint;
    const options = this.#parts.directory.find(networkId)?.options;
    if (state !== 'joined' || sandboxKey === undefined || options === undefined || options.placement === 'off') {
      this.#leaveSandboxes(endpointId);
      return;
    }
    let sandbox = this.#sandboxes.get(sandboxKey);
    if (sandbox === undefined) {
      // Kept also without a listener (`gateway`): a container on several networks sees the union there too.
      sandbox = {
        key: sandboxKey,
        members: new Map(),
        views: new PeerViews(this.#parts.directory.viewOf([networkId])),
        netns: undefined,
        engine: undefined,
        listener: undefined,
        takeover: undefined,
        closed: false,
      };
      this.#sandboxes.set(sandboxKey, sandbox);
    }
    sandbox.members.set(endpointId, networkId);
    this.#refreshViews();
    if (sandbox.netns === undefined && options.placement === 'sandbox') {
      void this.#openSandbox(sandbox, firstRetryMs, performance.now() + giveUpMs);
    }
  }

  #leaveSandboxes(endpointId: string): void {
    for (const [key, sandbox] of this.#sandboxes) {
      if (!sandbox.members.delete(endpointId)) continue;
      if (sandbox.members.size === 0) {
        closeSandbox(sandbox);
        this.#sandboxes.delete(key);
      }
    }
    this.#refreshViews();
  }

  async #openSandbox(sandbox: Sandbox, waitMs: number, until: number): Promise<void> {
    if (sandbox.closed || sandbox.netns !== undefined) return;
    const { responder, queryLog, now, log } = this.#parts;
    let netns: Netns;
    try {
      netns = openNetns(sandbox.key);
    } catch (error) {
      // Not there yet, or still the empty file on which the engine mounts it.
      if (performance.now() > until)
        log.warn(
          { err: error, sandbox: sandbox.key },
          'the sandbox did not appear; its container keeps the resolver that it has',
        );
      else
        setTimeout(
          () => void this.#openSandbox(sandbox, Math.min(waitMs * 1.5, longestRetryMs), until),
          waitMs,
        ).unref();
      return;
    }
    sandbox.netns = netns;
    const engine = new EngineResolver(netns);
    sandbox.engine = engine;
    this.#refreshEngine(sandbox);
    try {
      checkLoopback(netns);
      const open = (port: number): Promise<Listener> =>
        openListener({
          netns,
          address: sandboxAddress,
          port,
          shared: false,
          views: sandbox.views,
          responder,
          log: queryLog,
          now,
          engine,
        });
      sandbox.listener = await open(0);
      if (sandbox.closed) closeSandbox(sandbox);
      else await this.#takeOver(sandbox, netns, () => open(dnsPort));
    } catch (error) {
      closeSandboxSockets(sandbox);
      // The loopback interface comes up a moment after the namespace.
      if (isKernelError(error, 'ENETUNREACH') && performance.now() < until && !sandbox.closed) {
        setTimeout(
          () => void this.#openSandbox(sandbox, Math.min(waitMs * 1.5, longestRetryMs), until),
          waitMs,
        ).unref();
        return;
      }
      log.error(
        { err: error, sandbox: sandbox.key },
        'DNS cannot answer inside the sandbox; its container keeps the resolver that it has',
      );
    }
  }

  /**
   * Turns the sandbox's queries to our sockets. Without nftables these are opened on the port itself: heard where no engine has rules of
   * its own there, and passed by where one has.
   */
  async #takeOver(sandbox: Sandbox, netns: Netns, openOnPort: () => Promise<Listener>): Promise<void> {
    const { log } = this.#parts;
    const { listener } = sandbox;
    if (listener === undefined) return;
    try {
      sandbox.takeover = takeOverResolver(netns, { udp: listener.udpPort, tcp: listener.tcpPort });
    } catch (error) {
      log.info(
        { err: error, sandbox: sandbox.key },
        'no redirection by nftables in this sandbox; listening on port 53',
      );
      listener.close();
      sandbox.listener = undefined;
      const direct = await openOnPort();
      if (sandbox.closed) direct.close();
      else sandbox.listener = direct;
    }
    log.debug(
      { sandbox: sandbox.key, udp: sandbox.listener?.udpPort, tcp: sandbox.listener?.tcpPort },
      'answering at 127.0.0.11 in the sandbox',
    );
  }

  /** Gives every listener the views that hold now. */
  #refreshViews(): void {
    if (!this.#open) return;
    const { directory, registry } = this.#parts;
    const wider = new Map<string, { ip: Ip; view: ReturnType<Directory['viewOf']> }[]>();
    for (const sandbox of this.#sandboxes.values()) {
      const networkIds = [...new Set(sandbox.members.values())];
      sandbox.views.set(directory.viewOf(networkIds, sandbox.engine?.isPreferred === true ? sandbox.key : ''), []);
      if (networkIds.length < 2) continue;
      for (const [endpointId, networkId] of sandbox.members) {
        // The network that was asked goes first.
        const view = directory.viewOf([networkId, ...networkIds.filter((id) => id !== networkId)]);
        const list = wider.get(networkId) ?? [];
        for (const text of registry.findEndpoint(endpointId)?.addresses ?? []) {
          const ip = findIp(text);
          if (ip !== undefined) list.push({ ip, view });
        }
        wider.set(networkId, list);
      }
    }
    for (const gateway of this.#gateways.values()) {
      gateway.views.set(directory.viewOf([gateway.networkId]), wider.get(gateway.networkId) ?? []);
    }
  }

  #refreshEngines(): void {
    for (const sandbox of this.#sandboxes.values()) this.#refreshEngine(sandbox);
  }

  /** `--dns`, `--dns-search` and `--dns-opt` of a container are the engine's to honour. */
  #refreshEngine(sandbox: Sandbox): void {
    if (sandbox.engine === undefined) return;
    for (const endpointId of sandbox.members.keys()) {
      const endpoint = this.#parts.registry.findEndpoint(endpointId);
      const container = endpoint && this.#parts.directory.containerOf(endpoint);
      if (container === undefined) continue;
      sandbox.engine.answersAll = container.dns.servers.length > 0;
      sandbox.engine.networks = container.networks
        .filter((network) => this.#parts.directory.find(network.networkId) === undefined)
        .map((network) => network.networkName.toLowerCase());
      const networkIds = [...new Set(sandbox.members.values())];
      const apart = sandbox.engine.isPreferred ? sandbox.key : '';
      sandbox.views.set(this.#parts.directory.viewOf(networkIds, apart), []);
    }
  }
}

function closeGateway(gateway: Gateway): void {
  gateway.closed = true;
  gateway.listener?.close();
  gateway.listener = undefined;
}

/**
 * Throws ENETUNREACH while the loopback interface is down. Binding would succeed then (a namespace without any route takes every
 * address for a broadcast one), but replies would leave from 127.0.0.1.
 */
function checkLoopback(netns: Netns): void {
  const connectTo = { address: ipToBytes(parseIp(sandboxAddress)), port: dnsPort };
  closeFd(inNetns(netns, () => openUdp({ port: 0, connectTo })));
}

function closeSandbox(sandbox: Sandbox): void {
  sandbox.closed = true;
  closeSandboxSockets(sandbox);
}

function closeSandboxSockets(sandbox: Sandbox): void {
  // The redirection goes first: queries find the engine's resolver before ours is gone.
  sandbox.takeover?.close();
  sandbox.takeover = undefined;
  sandbox.listener?.close();
  sandbox.listener = undefined;
  sandbox.engine?.close();
  sandbox.engine = undefined;
  sandbox.netns?.close();
  sandbox.netns = undefined;
}

function linkIndex(name: string | undefined): string {
  try {
    return readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim();
  } catch {
    return '';
  }
}
