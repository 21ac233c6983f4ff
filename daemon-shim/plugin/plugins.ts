/**
 * Plugins by name: found when first asked for, activated once, then called on kept connections. One that hangs or dies costs
 * only those who call it: nothing here is shared between names.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type DriverKind,
  discoverPlugin,
  type IpamCapabilities,
  type IpamClient,
  listPlugins,
  type NetworkCapabilities,
  type NetworkClient,
  type PluginAddress,
  PluginClient,
  type PluginDirectories,
  type VolumeClient,
} from '../../plugins/sdk/index.ts';
import { ApiError, notFound } from '../api/api-error.ts';

interface ActivePlugin {
  readonly client: PluginClient;
  readonly kinds: readonly DriverKind[];
  /** Asked once, right after activation; undefined when it is no driver of the kind. */
  readonly networkCapabilities: NetworkCapabilities | undefined;
  readonly ipamCapabilities: IpamCapabilities | undefined;
  /** Asked once, when a volume of it is first used. */
  volumeScope?: Promise<string>;
}

/**
 * A plugin that was looked for in vain is not waited for again so soon: what several containers have with it fails after one
 * wait and not after one for each call. It is looked at each time.
 */
const missingMs = 5000;

/** Network drivers that Docker has built in, and that are plugins here: nobody starts a plugin of that name. */
const builtIn: readonly string[] = ['overlay', 'macvlan', 'ipvlan'];

/** `docker info` waits so long for a plugin. */
const lookMs = 500;

export class Plugins {
  readonly directories: PluginDirectories;
  readonly #closing = new AbortController();
  readonly #active = new Map<string, Promise<ActivePlugin>>();
  /** When a name was last looked for in vain, of the last five seconds: names come from clients. */
  readonly #missing = new Map<string, number>();

  constructor(directories: PluginDirectories) {
    this.directories = directories;
  }

  /**
   * The client of an active plugin that implements `kind`. Throws what Docker says: a plugin that is not there is looked for
   * during 15 s first, as every engine does.
   */
  async get(name: string, kind: DriverKind): Promise<PluginClient> {
    const { client, kinds } = await this.#activate(name);
    if (!kinds.includes(kind)) {
      throw notFound(
        `error looking up ${describe[kind]} plugin ${name}: plugin ${name} found, but does not implement the requested driver "${kind}"`,
      );
    }
    return client;
  }

  /** The network driver of that name, and what it said of itself when it was activated. */
  async network(name: string): Promise<{ network: NetworkClient; capabilities: NetworkCapabilities }> {
    const { network } = await this.get(name, 'network');
    const { networkCapabilities } = await this.#activate(name);
    return { network, capabilities: networkCapabilities as NetworkCapabilities };
  }

  /** The same for an IPAM driver. */
  async ipam(name: string): Promise<{ ipam: IpamClient; capabilities: IpamCapabilities }> {
    const { ipam } = await this.get(name, 'ipam');
    const { ipamCapabilities } = await this.#activate(name);
    return { ipam, capabilities: ipamCapabilities as IpamCapabilities };
  }

  /** The same for a volume driver: `local`, unless it says `global`. */
  async volume(name: string): Promise<{ volume: VolumeClient; scope: string }> {
    const { volume } = await this.get(name, 'volume');
    const active = await this.#activate(name);
    active.volumeScope ??= volume.capabilities().then(
      ({ scope }) => scope,
      () => 'local',
    );
    return { volume, scope: await active.volumeScope };
  }

  /** Whether a plugin that is there implements `kind`; false for one that does not answer. */
  async serves(name: string, kind: DriverKind): Promise<boolean> {
    try {
      return (await this.#activate(name)).kinds.includes(kind);
    } catch {
      return false;
    }
  }

  /** What is in the plugin directories and answers soon; one that hangs is left out. */
  async found(): Promise<{ name: string; kinds: readonly DriverKind[] }[]> {
    const late = new AbortController();
    const asked = listPlugins(this.directories).map(async (name) => {
      const tooLate = delay(lookMs, undefined, { signal: late.signal }).catch(() => undefined);
      const active = await Promise.race([this.#activate(name).catch(() => undefined), tooLate]);
      return active === undefined ? [] : [{ name, kinds: active.kinds }];
    });
    const found = await Promise.all(asked);
    late.abort();
    return found.flat();
  }

  /** Drops every connection. */
  close(): void {
    this.#closing.abort();
    // One that is still being looked for, or hangs in its activation, is not waited for.
    for (const active of this.#active.values()) {
      active.then(
        ({ client }) => client.close(),
        () => {},
      );
    }
  }

  #activate(name: string): Promise<ActivePlugin> {
    const known = this.#active.get(name);
    if (known !== undefined) return known;
    const attempt = this.#find(name);
    this.#active.set(name, attempt);
    // A failure is not kept: the plugin may be there the next time.
    attempt.catch(() => this.#active.delete(name));
    return attempt;
  }

  #forgetMissing(): void {
    for (const [name, at] of this.#missing) if (Date.now() - at >= missingMs) this.#missing.delete(name);
  }

  async #find(name: string): Promise<ActivePlugin> {
    let address: PluginAddress;
    try {
      this.#forgetMissing();
      const waits = this.#missing.has(name) || builtIn.includes(name) ? [] : undefined;
      address = await discoverPlugin(name, this.directories, waits, this.#closing.signal);
      this.#missing.delete(name);
    } catch (error) {
      this.#missing.set(name, Date.now());
      const instead = builtIn.includes(name) ? `: Docker's own driver of that name is cleat-${name} here` : '';
      throw new ApiError(404, `plugin "${name}" not found${instead}`, { cause: error });
    }
    const client = new PluginClient(address);
    const kinds = await client.activate();
    const networkCapabilities = kinds.includes('network') ? await client.network.getCapabilities() : undefined;
    const ipamCapabilities = kinds.includes('ipam') ? await client.ipam.getCapabilities() : undefined;
    return { client, kinds, networkCapabilities, ipamCapabilities };
  }
}

const describe: Readonly<Record<DriverKind, string>> = {
  network: 'network',
  ipam: 'ipam',
  volume: 'volume',
  log: 'logging',
};
