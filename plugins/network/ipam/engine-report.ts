/** What an engine says about the networks that use this IPAM, read from its API; by a watcher, never in a handler. */
import { EngineApiError, getJson, isObject } from '../engine/engine-api.ts';
import { watchEngine } from '../engine/engine-watch.ts';
import type { LiveAddress, LiveNetwork, LivePool, LiveReport } from './live-report.ts';

export interface WatchEnginesOptions {
  readonly sockets: readonly string[];
  readonly report: (report: LiveReport) => void;
  readonly onError: (socketPath: string, error: unknown) => void;
  readonly now?: () => number;
  /** Between two looks at a quiet engine. Default 20 s. */
  readonly intervalMs?: number;
}

/** Reports at the start of each engine, after each change of its networks, and regularly. */
export function watchEngines({ sockets, report, onError, now = Date.now, intervalMs = 20_000 }: WatchEnginesOptions): {
  close(): void;
} {
  const watches = sockets.map((socketPath) =>
    watchEngine({
      socketPath,
      filters: { type: ['network'] },
      look: async (signal) => report(await readEngineReport(socketPath, now, signal)),
      onError: (error) => onError(socketPath, error),
      intervalMs,
    }),
  );
  return {
    close: () => {
      for (const watch of watches) watch.close();
    },
  };
}

/** All or nothing: half a report would look like a loss. */
export async function readEngineReport(
  socketPath: string,
  now: () => number,
  signal: AbortSignal,
): Promise<LiveReport> {
  const takenAt = now();
  const listed = await getJson(socketPath, '/networks', signal);
  if (!Array.isArray(listed)) throw new EngineApiError(200, 'GET /networks: the reply is no list');
  const networks: LiveNetwork[] = [];
  for (const item of listed.filter(usesThisIpam)) {
    // The list has no endpoints; 404: removed since.
    const network = await getJson(socketPath, `/networks/${String(item['Id'])}`, signal).catch((error: unknown) => {
      if (error instanceof EngineApiError && error.status === 404) return undefined;
      throw error;
    });
    if (isObject(network)) networks.push(readNetwork(network));
  }
  return { source: `engine:${socketPath}`, takenAt, networks };
}

/** `cleat-ipam`, or `cleat-ipam:TAG` as a managed plugin. */
function usesThisIpam(item: unknown): item is Readonly<Record<string, unknown>> {
  const ipam = isObject(item) && isObject(item['IPAM']) ? item['IPAM'] : {};
  const driver = ipam['Driver'];
  return typeof driver === 'string' && /^cleat-ipam(:|$)/.test(driver);
}

function readNetwork(network: Readonly<Record<string, unknown>>): LiveNetwork {
  const ipam = isObject(network['IPAM']) ? network['IPAM'] : {};
  const configs: readonly unknown[] = Array.isArray(ipam['Config']) ? ipam['Config'] : [];
  const options = stringsOf(ipam['Options']);
  return {
    networkId: String(network['Id']),
    networkName: String(network['Name']),
    ours: true,
    pools: configs.filter(isObject).flatMap((config) => readPool(config, options)),
    addresses: isObject(network['Containers']) ? Object.values(network['Containers']).flatMap(readEndpoint) : [],
  };
}

function readPool(config: Readonly<Record<string, unknown>>, options: Readonly<Record<string, string>>): LivePool[] {
  const { Subnet: pool, IPRange: subPool, Gateway: gateway, AuxiliaryAddresses: auxiliary } = config;
  if (typeof pool !== 'string' || pool === '') return [];
  return [
    {
      pool,
      ...(typeof subPool === 'string' && subPool !== '' ? { subPool } : {}),
      ...(typeof gateway === 'string' && gateway !== '' ? { gateway: bare(gateway) } : {}),
      auxiliary: Object.values(stringsOf(auxiliary)).map(bare),
      options,
    },
  ];
}

function readEndpoint(endpoint: unknown): LiveAddress[] {
  if (!isObject(endpoint)) return [];
  const { Name: container, IPv4Address, IPv6Address } = endpoint;
  return [IPv4Address, IPv6Address]
    .filter((address): address is string => typeof address === 'string' && address !== '')
    .map((address) => ({ address: bare(address), ...(typeof container === 'string' ? { container } : {}) }));
}

function stringsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Without the prefix length that some versions add. */
function bare(address: string): string {
  return address.split('/')[0] ?? address;
}
