/**
 * Mounts of exports, shared by all volumes with the same servers, export and options: one connection to a server, however
 * many volumes. A volume is a bind mount of a folder of it.
 *
 *     STATE_DIR/mounts/exports/KEY ──bind──► STATE_DIR/mounts/cleat-nfs/NAME/root ──bind (engine)──► container
 */
import { basename, dirname, join } from 'node:path';
import { CommandError } from '../../linux/command.ts';
import { runBounded } from '../../linux/mount.ts';
import { findMountAt, type MountEntry, readMountinfo } from '../../linux/mountinfo.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Budget, Trouble } from '../backend.ts';
import type { Layout } from '../layout.ts';
import { ensureMounted, ensureUnmounted, unmountRemote } from '../mounting.ts';
import { type NfsConfig, type NfsVersion, nfsVersions } from './options.ts';
import { chooseServer, isServing, retryEveryMs, tryServers } from './server-choice.ts';

const probeTimeoutMs = 1500;

export interface MountedExport {
  readonly mount: MountEntry;
  /** What had to be given up to get there. */
  readonly note?: string;
}

export class NfsExports {
  readonly #layout: Layout;
  /** Names of the volumes that are bound to each export. */
  readonly #users = new Map<string, Set<string>>();
  readonly #probes = new Map<string, Promise<Trouble | undefined>>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  pathOf({ exportKey }: NfsConfig): string {
    return join(this.#layout.exports, exportKey);
  }

  find(config: NfsConfig, mounts: readonly MountEntry[] = readMountinfo()): MountEntry | undefined {
    return findMountAt(this.pathOf(config), mounts);
  }

  /** Mounted, and with a server behind it that answers. One call at a time for each export. */
  async ensure(config: NfsConfig, budget: Budget): Promise<MountedExport> {
    const trouble = await this.#troubleOf(config, budget);
    if (trouble === undefined) return { mount: this.find(config) ?? (await this.#mount(config, budget)) };
    if (!trouble.lost) {
      throw new PluginError('VOL_SERVER', trouble.message, {
        hint: 'the mount is kept and works again when the server is back',
      });
    }
    // Containers that are running keep what they have; new ones get the new mount.
    await ensureUnmounted(this.pathOf(config), 'lazy', budget);
    const mount = await this.#mount(config, budget);
    return { mount, note: `mounted again, and the old mount unmounted lazily, because ${trouble.message}` };
  }

  /** undefined when it is well, or not mounted. A server that does not answer is waited for as long as there is time. */
  async #troubleOf(config: NfsConfig, budget: Budget): Promise<Trouble | undefined> {
    for (;;) {
      const trouble = await this.probe(config, budget);
      if (trouble === undefined || trouble.lost || budget.signal.aborted || budget.left() < probeTimeoutMs)
        return trouble;
      await new Promise((resolve) => setTimeout(resolve, retryEveryMs));
    }
  }

  /** A volume is bound to the export, or not any more. */
  noteUser(config: NfsConfig, name: string, bound: boolean): void {
    const users = this.#users.get(config.exportKey) ?? new Set();
    if (bound) users.add(name);
    else users.delete(name);
    this.#users.set(config.exportKey, users);
  }

  /** Unmounts an export that no volume is bound to any more. */
  async releaseUnused({ exportKey }: Pick<NfsConfig, 'exportKey'>, budget: Budget): Promise<string | undefined> {
    if ((this.#users.get(exportKey)?.size ?? 0) > 0) return undefined;
    return await unmountRemote(join(this.#layout.exports, exportKey), budget);
  }

  /** Keys of all exports that are mounted. */
  mountedKeys(mounts: readonly MountEntry[]): readonly string[] {
    return mounts
      .filter(({ mountPoint }) => dirname(mountPoint) === this.#layout.exports)
      .map(({ mountPoint }) => basename(mountPoint));
  }

  /** Whether the server behind a mounted export answers and still has the folder; volumes of one export share the answer. */
  async probe(config: NfsConfig, budget: Budget): Promise<Trouble | undefined> {
    const running = this.#probes.get(config.exportKey);
    if (running !== undefined) return await running;
    const probe = this.#probe(config, budget).finally(() => this.#probes.delete(config.exportKey));
    this.#probes.set(config.exportKey, probe);
    return await probe;
  }

  /** The server first, by a call of ours that nothing can block; only one that answers is asked for files, in a child. */
  async #probe(config: NfsConfig, budget: Budget): Promise<Trouble | undefined> {
    const mount = this.find(config);
    if (mount === undefined) return undefined;
    const [current] = /(?<=(?:^|,)addr=)[^,]+/.exec(mount.superOptions) ?? [];
    if (current === undefined || !config.probable || (await isServing(current, config, budget))) {
      return (await isStale([mount.mountPoint], budget)) ? staleTrouble(config.export) : undefined;
    }
    const { found } = await tryServers(config, budget);
    if (found !== undefined && found.address !== current) {
      return { message: `${current} does not answer, and ${found.name} is now ${found.address}`, lost: true };
    }
    return { message: `the NFS server ${current} does not answer for ${config.export}`, lost: false };
  }

  async #mount(config: NfsConfig, budget: Budget): Promise<MountEntry> {
    const { name, address } = await chooseServer(config, budget);
    const versions: readonly NfsVersion[] = config.version === undefined ? nfsVersions : [config.version];
    let refused: unknown;
    for (const version of versions) {
      const options = [`vers=${version}`, `addr=${address}`, config.options].filter(Boolean).join(',');
      const host = address.includes(':') && name === address ? `[${address}]` : name;
      const spec = {
        source: `${host}:${config.export}`,
        target: this.pathOf(config),
        fsType: version === '3' ? 'nfs' : 'nfs4',
        options,
      };
      try {
        return await ensureMounted(spec, budget);
      } catch (error) {
        refused ??= error;
        // Only "I do not speak that" is a reason to try an older one; nfs(5), "negotiation".
        if (!/protocol not supported|requested NFS version|invalid argument/i.test((error as Error).message))
          throw error;
      }
    }
    throw refused;
  }
}

/**
 * Asks the server itself, past the kernel's memory of what it said before, and so renews that memory: ask for all folders on
 * the way to one that may have been replaced. Throws VOL_SERVER when there is no answer.
 */
export async function isStale(paths: readonly string[], budget: Budget): Promise<boolean> {
  const timing = { timeoutMs: Math.min(probeTimeoutMs, budget.left()), signal: budget.signal };
  try {
    await runBounded('stat', ['--cached=never', '-c', '%i %Z %s', '--', ...paths], timing);
    return false;
  } catch (error) {
    if (error instanceof CommandError && error.stderr.includes('Stale file handle')) return true;
    if (error instanceof CommandError && error.reason === 'exit') return false;
    throw new PluginError('VOL_SERVER', 'the NFS server does not answer for the files of a mount', { cause: error });
  }
}

export function staleTrouble(what: string): Trouble {
  return { message: `the handle of ${what} is stale: it was deleted or replaced on the server`, lost: true };
}
