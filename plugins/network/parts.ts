/** What cleat-networkd gives to its drivers, and what a driver gives back. */
import type { RouteSocket } from '../linux/netlink/route-socket.ts';
import type { DaemonContext } from '../sdk/daemon.ts';
import type { Plugin } from '../sdk/plugin.ts';
import type { Store } from '../store/store.ts';
import type { LinkRemover } from './link/removal.ts';
import type { Firewall } from './publish/firewall.ts';
import type { Publisher } from './publish/publisher.ts';
import type { NetworkRegistry } from './registry.ts';

/** Shared by all drivers of the process; closed by service.ts. */
export interface NetworkParts {
  readonly context: DaemonContext;
  readonly store: Store;
  readonly registry: NetworkRegistry;
  readonly firewall: Firewall;
  readonly publisher: Publisher;
  /** In the engine's network namespace, which is the daemon's own. */
  readonly socket: RouteSocket;
  readonly remover: LinkRemover;
  /** Whether what the endpoint holds may be given to another. */
  readonly isAbandoned: (endpointId: string) => boolean;
  /** Whether an engine that is there does not know the endpoint, and nothing runs in its sandbox. */
  readonly isForgotten: (endpointId: string) => boolean;
  /** To be called after a network was added or removed: the host's own firewall may have to let it through. */
  readonly onNetworksChange: () => void;
}

/** A driver, or a service, once its records have been read. */
export interface NetworkPart {
  readonly plugins: readonly Plugin[];
  /** Names of the links in the engine's namespace that its records know; every other link with our names is swept. */
  links(): string[];
  /** Called when the table is written and strays are gone: the time to begin what runs by itself. */
  started?(): void;
  /** For `cleat status`: kind of thing → objects of one flat shape. */
  status?(): Readonly<Record<string, readonly object[]>>;
  reload?(config: Readonly<Record<string, unknown>>): Promise<void>;
  stop(): Promise<void>;
  /** Removes everything that no endpoint uses; for `cleat purge`. Only listed when `dryRun`. */
  purge?(dryRun: boolean): Promise<PurgeItem[]>;
}

export interface PurgeItem {
  readonly kind: string;
  readonly name: string;
  /** Why it stays, when it stays. */
  readonly kept?: string;
}
