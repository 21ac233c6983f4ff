/** What an engine says about the networks that use this IPAM, read from its API; by a watcher, never in a handler. */
import type { Logger } from 'pino';
import { EngineApi } from '../engine/api.ts';
import { asObject, asText, asTextMap } from '../engine/container.ts';
import type { EngineWatch } from '../engine/watch.ts';
import type { LiveAddress, LiveNetwork, LivePool, LiveReport } from './live-report.ts';

export interface ReportEngineOptions {
  readonly engine: EngineWatch;
  readonly report: (report: LiveReport) => void;
  readonly log: Logger;
  readonly now: () => number;
}

/** Between two looks at a quiet engine. */
const intervalMs = 20_000;
/** From a change to the look, so that a burst of them is one look. */
const settleMs = 1000;
/** A busy engine spends at most a tenth of its time on being looked at. */
const restFactor = 10;

/** Reports whenever the engine has come, soon after each change of its containers and networks, and regularly. */
export function reportEngine(options: ReportEngineOptions): { close(): void } {
  const reporter = new EngineReporter(options);
  return { close: () => reporter.close() };
}

class EngineReporter {
  readonly #options: ReportEngineOptions;
  readonly #api: EngineApi;
  readonly #unsubscribe: () => void;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #looking = false;
  #lastLookMs = 0;

  constructor(options: ReportEngineOptions) {
    this.#options = options;
    this.#api = new EngineApi(options.engine.socketPath);
    this.#unsubscribe = options.engine.subscribe(({ kind }) => {
      if (kind === 'disconnected') this.#rest();
      else this.#lookIn(kind === 'synchronised' ? 0 : Math.max(settleMs, this.#lastLookMs * restFactor));
    });
    if (options.engine.connected) this.#lookIn(0);
  }

  close(): void {
    this.#unsubscribe();
    this.#rest();
    this.#api.close();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#due = Number.POSITIVE_INFINITY;
  }

  #lookIn(delayMs: number): void {
    const due = performance.now() + delayMs;
    if (due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.#look(), delayMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    this.#due = Number.POSITIVE_INFINITY;
    if (this.#looking) {
      // A change during a look may have come too late for it.
      this.#lookIn(settleMs);
      return;
    }
    const { engine, report, log, now } = this.#options;
    const start = performance.now();
    this.#looking = true;
    try {
      report(await readEngineReport(this.#api, now));
    } catch (error) {
      // An engine that has just gone is told by its watch.
      if (engine.connected)
        log.warn({ engine: engine.socketPath, err: error }, 'the engine did not tell which addresses are in use');
    }
    this.#looking = false;
    this.#lastLookMs = performance.now() - start;
    if (engine.connected) this.#lookIn(intervalMs);
  }
}

/** All or nothing: half a report would look like a loss. */
export async function readEngineReport(api: EngineApi, now: () => number): Promise<LiveReport> {
  const takenAt = now();
  const listed = await api.get('/networks');
  if (!Array.isArray(listed)) throw new TypeError('GET /networks: the reply is no list');
  const networks: LiveNetwork[] = [];
  for (const id of listed
    .map(asObject)
    .filter(usesThisIpam)
    .map((network) => asText(network['Id']))) {
    // The list has no endpoints. undefined: removed since.
    const network = await api.get(`/networks/${encodeURIComponent(id)}`);
    if (network !== undefined) networks.push(readNetwork(asObject(network)));
  }
  return { source: `engine:${api.socketPath}`, takenAt, networks };
}

type Json = Readonly<Record<string, unknown>>;

/** `cleat-ipam`, or `cleat-ipam:TAG` as a managed plugin. */
function usesThisIpam(network: Json): boolean {
  return /^cleat-ipam(:|$)/.test(asText(asObject(network['IPAM'])['Driver']));
}

function readNetwork(network: Json): LiveNetwork {
  const ipam = asObject(network['IPAM']);
  const configs: readonly unknown[] = Array.isArray(ipam['Config']) ? ipam['Config'] : [];
  const options = asTextMap(ipam['Options']);
  return {
    networkId: asText(network['Id']),
    networkName: asText(network['Name']),
    ours: true,
    pools: configs.flatMap((config) => readPool(asObject(config), options)),
    addresses: Object.values(asObject(network['Containers'])).flatMap((endpoint) => readEndpoint(asObject(endpoint))),
  };
}

function readPool(config: Json, options: Readonly<Record<string, string>>): LivePool[] {
  const [pool, subPool, gateway] = [config['Subnet'], config['IPRange'], config['Gateway']].map(asText);
  if (!pool) return [];
  return [
    {
      pool,
      ...(subPool ? { subPool } : {}),
      ...(gateway ? { gateway: bare(gateway) } : {}),
      auxiliary: Object.values(asTextMap(config['AuxiliaryAddresses'])).map(bare),
      options,
    },
  ];
}

function readEndpoint(endpoint: Json): LiveAddress[] {
  const container = asText(endpoint['Name']);
  return [endpoint['IPv4Address'], endpoint['IPv6Address']]
    .map(asText)
    .filter((address) => address !== '')
    .map((address) => ({ address: bare(address), ...(container ? { container } : {}) }));
}

/** Without the prefix length that some versions add. */
function bare(address: string): string {
  return address.split('/')[0] ?? address;
}
