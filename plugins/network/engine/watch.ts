/**
 * Follows a container engine from outside: what containers and networks it has, kept up to date by its events. For what the plugin protocol does
 * not tell a plugin (names, aliases, labels, health). It runs by itself and is never asked from inside a plugin call: the engine may hold
 * locks then that its API waits for.
 *
 *     connect ─► events begin ─► list everything ─► follow events, look again at what they name
 *        ▲                                                │
 *        └── wait 0.1 … 2 s ◄── the engine went away ─────┘     what is known stays known meanwhile
 *
 * Containers and networks are told to listeners only when something about them changed.
 */
import type { Logger } from 'pino';
import { EngineApi } from './api.ts';
import {
  asObject,
  asText,
  type EngineContainer,
  type EngineNetwork,
  readContainer,
  readNetworks,
} from './container.ts';

export type EngineEvent =
  | { readonly kind: 'container'; readonly container: EngineContainer }
  | { readonly kind: 'container-removed'; readonly container: EngineContainer }
  | { readonly kind: 'network'; readonly network: EngineNetwork }
  | { readonly kind: 'network-removed'; readonly network: EngineNetwork }
  /** Everything there is has been told; told again after each connection. */
  | { readonly kind: 'synchronised' }
  | { readonly kind: 'disconnected' };

export type EngineListener = (event: EngineEvent) => void;

const firstWaitMs = 100;
const longestWaitMs = 2000;
const inspectsAtATime = 8;

export interface EngineWatchOptions {
  /** Path of the API socket; it need not be there yet. */
  readonly socketPath: string;
  readonly log: Logger;
}

export class EngineWatch {
  readonly socketPath: string;
  readonly #log: Logger;
  readonly #api: EngineApi;
  readonly #containers = new Map<string, EngineContainer>();
  readonly #networks = new Map<string, EngineNetwork>();
  readonly #listeners = new Set<EngineListener>();
  readonly #stop = new AbortController();
  /** Containers being looked at; true: something happened meanwhile, look again. */
  readonly #looking = new Map<string, boolean>();
  #connected = false;
  #running: Promise<void> = Promise.resolve();

  constructor({ socketPath, log }: EngineWatchOptions) {
    this.socketPath = socketPath;
    this.#log = log.child({ engine: socketPath });
    this.#api = new EngineApi(socketPath);
  }

  /** Whether events are being received now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** What is known, also while the engine is away. */
  containers(): EngineContainer[] {
    return [...this.#containers.values()];
  }

  networks(): EngineNetwork[] {
    return [...this.#networks.values()];
  }

  findContainer(id: string): EngineContainer | undefined {
    return this.#containers.get(id);
  }

  /** Calls `listener` for every later change; returns the function that ends it. */
  subscribe(listener: EngineListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#api.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let wait = firstWaitMs;
    while (!signal.aborted) {
      try {
        await this.#api.events(
          () => {
            wait = firstWaitMs;
            this.#connected = true;
            void this.#lookAtAll();
          },
          (event) => this.#onEvent(event),
          signal,
        );
      } catch (error) {
        if (!signal.aborted) this.#log.trace({ err: error }, 'the engine does not answer');
      }
      if (this.#connected) {
        this.#connected = false;
        if (!signal.aborted) this.#log.info('the engine is away; what is known of it stays');
        this.#tell({ kind: 'disconnected' });
      }
      if (!signal.aborted) await pause(wait, signal);
      wait = Math.min(wait * 2, longestWaitMs);
    }
  }

  async #lookAtAll(): Promise<void> {
    try {
      await this.#lookAtNetworks();
      const list = await this.#api.get('/containers/json?all=1');
      const ids = Array.isArray(list) ? list.map((one) => asText(asObject(one)['Id'])).filter((id) => id !== '') : [];
      const queue = [...ids];
      const worker = async (): Promise<void> => {
        for (let id = queue.shift(); id !== undefined; id = queue.shift()) await this.#look(id);
      };
      await Promise.all(Array.from({ length: inspectsAtATime }, worker));
      const there = new Set(ids);
      for (const id of [...this.#containers.keys()]) if (!there.has(id) && !this.#looking.has(id)) this.#forget(id);
      this.#log.debug({ containers: ids.length }, 'the engine is followed');
      this.#tell({ kind: 'synchronised' });
    } catch (error) {
      // The connection of the events fails too, and everything is looked at again after the next one.
      this.#log.debug({ err: error }, 'the engine could not be listed');
    }
  }

  async #lookAtNetworks(): Promise<void> {
    const networks = readNetworks(await this.#api.get('/networks'));
    const there = new Set(networks.map((network) => network.id));
    for (const network of networks) {
      const before = this.#networks.get(network.id);
      if (JSON.stringify(before) === JSON.stringify(network)) continue;
      this.#networks.set(network.id, network);
      this.#tell({ kind: 'network', network });
    }
    for (const [id, network] of this.#networks) {
      if (there.has(id)) continue;
      this.#networks.delete(id);
      this.#tell({ kind: 'network-removed', network });
    }
  }

  #onEvent(raw: unknown): void {
    const event = asObject(raw);
    const actor = asObject(event['Actor']);
    const attributes = asObject(actor['Attributes']);
    const action = asText(event['Action']);
    const id = asText(actor['ID']);
    if (event['Type'] === 'network') {
      const container = asText(attributes['container']);
      if (action === 'connect' || action === 'disconnect') {
        if (container !== '') this.#lookSoon(container);
      } else {
        this.#lookAtNetworks().catch((error: unknown) =>
          this.#log.debug({ err: error }, 'the networks could not be listed'),
        );
      }
      return;
    }
    if (event['Type'] !== 'container' || id === '' || action.startsWith('exec_')) return;
    if (action === 'destroy' || action === 'remove') {
      this.#forget(id);
      return;
    }
    this.#anticipate(id, action);
    this.#lookSoon(id);
  }

  /** What an event says by itself counts at once; the look at the container follows. */
  #anticipate(id: string, action: string): void {
    const known = this.#containers.get(id);
    if (known === undefined) return;
    if (action === 'die') this.#learn({ ...known, running: false });
    else if (action === 'pause') this.#learn({ ...known, paused: true });
    else if (action === 'unpause') this.#learn({ ...known, paused: false });
    else if (action === 'health_status: unhealthy') this.#learn({ ...known, health: 'unhealthy' });
    else if (action === 'health_status: healthy') this.#learn({ ...known, health: 'healthy' });
  }

  #lookSoon(id: string): void {
    if (this.#looking.has(id)) {
      this.#looking.set(id, true);
      return;
    }
    this.#look(id).catch((error: unknown) =>
      this.#log.debug({ err: error, container: id }, 'a container could not be looked at'),
    );
  }

  async #look(id: string): Promise<void> {
    if (this.#looking.has(id)) {
      this.#looking.set(id, true);
      return;
    }
    try {
      do {
        this.#looking.set(id, false);
        const container = readContainer(await this.#api.get(`/containers/${encodeURIComponent(id)}/json`));
        if (container === undefined) this.#forget(id);
        else this.#learn(container);
      } while (this.#looking.get(id) === true);
    } finally {
      this.#looking.delete(id);
    }
  }

  #learn(container: EngineContainer): void {
    const before = this.#containers.get(container.id);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(container)) return;
    this.#containers.set(container.id, container);
    this.#tell({ kind: 'container', container });
  }

  #forget(id: string): void {
    const container = this.#containers.get(id);
    if (container === undefined) return;
    this.#containers.delete(id);
    this.#tell({ kind: 'container-removed', container });
  }

  #tell(event: EngineEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener of the engine watch failed');
      }
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}
