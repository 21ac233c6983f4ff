/**
 * `cleat-ipam` as the daemon wires it: records in, one plugin out, and the functions by which engines' watchers and network
 * drivers tell what is in use.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Gauge, type Registry } from 'prom-client';
import type { Netns } from '../../linux/netns.ts';
import { readSysctl } from '../../linux/sysctl.ts';
import { errorLine, PluginError } from '../../sdk/errors.ts';
import type { Plugin } from '../../sdk/plugin.ts';
import type { Store } from '../../store/store.ts';
import { cidrAround, formatCidr, parseCidr } from '../address/cidr.ts';
import { findIp, formatIp, ipFromBytes } from '../address/ip.ts';
import type { EngineWatch } from '../engine/watch.ts';
import type { PurgeItem } from '../parts.ts';
import type { NetworkRegistry } from '../registry.ts';
import { CleatIpam } from './driver.ts';
import { readDriverReport } from './driver-report.ts';
import { reportEngine } from './engine-report.ts';
import { type HostBlock, readHostView } from './host-blocks.ts';
import { Ledger } from './ledger.ts';
import type { LiveReport } from './live-report.ts';
import { type IpamConfig, type PoolOptions, parseIpamConfig, parsePoolOptions } from './options.ts';
import type { PoolSettings } from './pool.ts';
import { purgePools } from './purge.ts';
import { Reconciler } from './reconcile.ts';
import type { PoolRecord } from './records.ts';
import { releaseAfterReboot } from './restore.ts';
import { type IpamStatus, ipamStatus } from './status.ts';
import type { SubnetSharing } from './subnet-sharing.ts';
import { Warnings } from './warnings.ts';

const driverIntervalMs = 10_000;

export interface IpamParts {
  readonly store: Store;
  /** The section "ipam" of the daemon's configuration. */
  readonly config: unknown;
  readonly log: Logger;
  /** Default /proc/sys/kernel/random/boot_id. */
  readonly bootId?: string;
  readonly registry?: Registry;
  /** The engine's network namespace; default the caller's. */
  readonly netns?: Netns;
  readonly now?: () => number;
  /** Of subnets that hosts share; default: all of each is this host's. */
  readonly sharing?: SubnetSharing;
}

export interface Ipam {
  readonly plugin: Plugin;
  /**
   * Compares the allocations with what engines and this process's drivers have, from now on. Call it when the drivers have
   * restored their networks: one that is not there yet would look like one that is gone.
   */
  watch(sources: { readonly networks?: NetworkRegistry; readonly engines?: readonly EngineWatch[] }): void;
  /** What is in use, by one who knows, all of it. */
  report(report: LiveReport): void;
  status(): IpamStatus;
  /** The container's name that the engine gave with the request for this address; engines of 29 and later, and the shim, do. */
  nameOf(pool: string, address: string): string | undefined;
  /** Drops the pools that no container has an address of, for `cleat purge`; only lists them when `dryRun`. */
  purge(dryRun: boolean): PurgeItem[];
  /** Throws when the section is wrong; the old one then stays. */
  reload(config: unknown): void;
  close(): void;
}

/** Reads the records and follows the host's routes from now on. Throws IPAM_CONFIG, StoreError, KernelError. */
export function startIpam(parts: IpamParts): Ipam {
  const { store, log, netns, now = Date.now, bootId = readSysctl('kernel/random/boot_id') } = parts;
  let config = parseIpamConfig(parts.config);
  const settingsFor = (record: PoolRecord): PoolSettings => {
    const options = findPoolOptions(record.options, log);
    return {
      quarantineMs: options.quarantineMs ?? config.quarantineMs,
      stickyMs: options.stickyMs ?? config.stickyMs,
      warnPercent: options.warnPercent ?? config.warnPercent,
    };
  };
  const ledger = new Ledger(store, settingsFor, parts.sharing);
  const uniqueLocal = releaseAfterReboot({ ledger, bootId, log, now, drawUniqueLocal });
  const warnings = new Warnings({ ledger, log, now, ...(netns && { netns }) });
  const reconciler = new Reconciler({
    ledger,
    log,
    now,
    graceMs: () => config.graceMs,
    hostAddresses: () => readHostView(netns).addresses.map(({ ip }) => formatIp(ip)),
  });
  const driver = new CleatIpam({
    ledger,
    config: () => withUniqueLocal(config, uniqueLocal),
    hostBlocks: () => readHostBlocks(netns),
    ...(parts.sharing && { sharing: parts.sharing }),
    now,
    onUse: (entry) => warnings.checkUse(entry),
  });
  if (parts.registry) countPools(parts.registry, ledger);
  warnings.watchHost();
  const closers: (() => void)[] = [() => warnings.close()];
  const report = (live: LiveReport): void => {
    reconciler.report(live);
    for (const entry of ledger.pools()) warnings.checkUse(entry);
  };
  return {
    plugin: { name: 'cleat-ipam', ipam: driver },
    watch: ({ networks, engines = [] }) => {
      if (networks) closers.push(watchDrivers(networks, report, log, now));
      for (const engine of engines) closers.push(reportEngine({ engine, report, log, now }).close);
    },
    report,
    status: () => ipamStatus(ledger, reconciler, warnings),
    nameOf: (pool, address) => findNameOf(ledger, pool, address),
    purge: (dryRun) => purgePools(ledger, dryRun),
    reload: (section) => {
      config = parseIpamConfig(section);
      ledger.refreshSettings();
    },
    close: () => {
      for (const close of closers.splice(0)) close();
    },
  };
}

function findNameOf(ledger: Ledger, pool: string, address: string): string | undefined {
  const ip = findIp(address);
  const entry = ledger.pools().find(({ record }) => record.pool === pool);
  const allocation = ip && entry?.pool.get(ip.value);
  const owner = allocation?.state === 'allocated' ? allocation.owner : undefined;
  return owner?.startsWith('name:') ? owner.slice('name:'.length) : undefined;
}

/** Regularly, and when a network appears: what is asked for by name after that is a container's. */
function watchDrivers(
  networks: NetworkRegistry,
  report: (live: LiveReport) => void,
  log: Logger,
  now: () => number,
): () => void {
  const look = (): void => {
    try {
      report(readDriverReport(networks, now()));
    } catch (error) {
      log.error({ err: error }, "the drivers' endpoints could not be compared with the allocations");
    }
  };
  look();
  const timer = setInterval(look, driverIntervalMs);
  timer.unref();
  const unsubscribe = networks.subscribe(({ kind }) => {
    if (kind === 'network-added') look();
  });
  return () => {
    clearInterval(timer);
    unsubscribe();
  };
}

function readHostBlocks(netns: Netns | undefined): readonly HostBlock[] {
  try {
    return readHostView(netns).blocks;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PluginError('IPAM_HOST', `the host's routes could not be read: ${reason}`, { cause: error });
  }
}

/** Of a record: checked when it was made, perhaps by another version, and never a reason not to start. */
function findPoolOptions(given: Readonly<Record<string, string>>, log: Logger): PoolOptions {
  try {
    return parsePoolOptions(given);
  } catch (error) {
    log.warn({ options: given }, `options of a pool are left out: ${errorLine(error)}`);
    return {};
  }
}

/** A global ID of 40 random bits in the locally assigned half of the range (RFC 4193 §3.2). */
function drawUniqueLocal(): string {
  const address = ipFromBytes(Uint8Array.from([0xfd, ...randomBytes(5), ...new Uint8Array(10)]));
  return formatCidr(cidrAround(address, 48));
}

/** Where the configuration names no IPv6 range, networks get /64s of the host's own. */
function withUniqueLocal(config: IpamConfig, uniqueLocal: string): IpamConfig {
  if (config.defaultPools.some(({ base }) => base.family === 6)) return config;
  return { ...config, defaultPools: [...config.defaultPools, { base: parseCidr(uniqueLocal), size: 64 }] };
}

function countPools(registry: Registry, ledger: Ledger): void {
  const registers = [registry];
  new Gauge({
    name: 'cleat_ipam_pool_used_addresses',
    help: 'Addresses of the pool that are allocated, out of those for dynamic use',
    labelNames: ['pool'],
    registers,
    collect() {
      this.reset();
      for (const { poolId, pool } of ledger.pools()) this.set({ pool: poolId }, pool.used);
    },
  });
  new Gauge({
    name: 'cleat_ipam_pool_size_addresses',
    help: 'Addresses of the pool for dynamic use',
    labelNames: ['pool'],
    registers,
    collect() {
      this.reset();
      for (const { poolId, pool } of ledger.pools()) this.set({ pool: poolId }, Number(pool.size));
    },
  });
}
