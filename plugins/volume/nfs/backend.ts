/** cleat-nfs: a folder of an export of an NFS server. What is on the server is never deleted. */
import { findMountAt, type MountEntry, readMountinfo } from '../../linux/mountinfo.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Attached, Backend, BackendVolume, Budget, Trouble, Usage } from '../backend.ts';
import { ownershipOf } from '../common-options.ts';
import { measureFileSystem } from '../file-system-usage.ts';
import type { Layout } from '../layout.ts';
import { startBudget } from '../mount-deadline.ts';
import { ensureBound, ensureUnmounted, unmountRemote } from '../mounting.ts';
import { applyOwnership } from '../ownership.ts';
import type { Details } from '../records.ts';
import { makeRemoteSubFolder } from '../sub-folder.ts';
import type { Trash } from '../trash.ts';
import { VolumeQueue } from '../volume-queue.ts';
import { isStale, NfsExports, staleTrouble } from './exports.ts';
import { type NfsConfig, parseNfsOptions } from './options.ts';

type NfsVolume = BackendVolume<NfsConfig>;

const driver = 'cleat-nfs';
const settleTimeoutMs = 10_000;

export class NfsBackend implements Backend<NfsConfig> {
  readonly driver = driver;
  readonly #layout: Layout;
  readonly #trash: Trash;
  readonly #exports: NfsExports;
  /** Volumes of one export take turns; others do not wait for them. */
  readonly #turns = new VolumeQueue();

  constructor(layout: Layout, trash: Trash) {
    this.#layout = layout;
    this.#trash = trash;
    this.#exports = new NfsExports(layout);
  }

  parse(options: Readonly<Record<string, string>>): NfsConfig {
    return parseNfsOptions(options);
  }

  isMadeAtOnce(): boolean {
    return true;
  }

  /** The server may be down: it is asked at the first mount. */
  async create(): Promise<Details> {
    return {};
  }

  async attach(volume: NfsVolume, budget: Budget): Promise<Attached> {
    return await this.#turn(volume.config, budget, () => this.#attach(volume, budget));
  }

  async detach({ name, config }: NfsVolume, budget: Budget): Promise<string | undefined> {
    return await this.#turn(config, budget, async () => {
      const ofVolume = await unmountRemote(this.#layout.root(driver, name), budget);
      this.#exports.noteUser(config, name, false);
      const ofExport = await this.#exports.releaseUnused(config, budget);
      return ofVolume ?? ofExport;
    });
  }

  attachedPath({ name, config }: NfsVolume, mounts: readonly MountEntry[]): string | undefined {
    const root = this.#layout.root(driver, name);
    const bound = findMountAt(root, mounts) !== undefined;
    this.#exports.noteUser(config, name, bound);
    return bound ? root : undefined;
  }

  /** Exports that a crash left behind. Their servers may be gone, so nobody waits for it. */
  settle(mounts: readonly MountEntry[]): void {
    for (const exportKey of this.#exports.mountedKeys(mounts)) {
      const budget = startBudget(settleTimeoutMs);
      void this.#turn({ exportKey }, budget, () => this.#exports.releaseUnused({ exportKey }, budget)).catch(() => {});
    }
  }

  /** The server keeps apart what is one and what is another, however often it is mounted. */
  ownsFileSystem(): boolean {
    return false;
  }

  ownsData(): boolean {
    return false;
  }

  async discard({ name }: NfsVolume): Promise<void> {
    this.#trash.takeMountFolder(this.#layout.mountFolder(driver, name));
  }

  usageNow(_volume: NfsVolume, attachedPath: string | undefined): Usage | undefined {
    return attachedPath === undefined ? {} : undefined;
  }

  async usage(volume: NfsVolume, budget: Budget): Promise<Usage> {
    const path = this.attachedPath(volume, readMountinfo());
    return path === undefined ? {} : await measureFileSystem(path, budget);
  }

  checkUpdate(): void {}

  async update({ details }: NfsVolume): Promise<Details> {
    return { ...details, owned: false };
  }

  async probe({ name, config }: NfsVolume, budget: Budget): Promise<Trouble | undefined> {
    return (
      (await this.#exports.probe(config, budget)) ??
      (await this.#staleRoot(this.#layout.root(driver, name), config, budget))
    );
  }

  describe({ config, details }: NfsVolume): Readonly<Record<string, unknown>> {
    const { servers, export: path, subdir } = config;
    const { server, version } = details;
    return {
      source: `${servers.join(',')}:${path}${subdir === undefined ? '' : `/${subdir.join('/')}`}`,
      ...(server === undefined ? {} : { server }),
      ...(version === undefined ? {} : { version }),
    };
  }

  async #attach({ name, config, details }: NfsVolume, budget: Budget): Promise<Attached> {
    const ensured = await this.#exports.ensure(config, budget);
    const root = this.#layout.root(driver, name);
    const stale = await this.#staleRoot(root, config, budget);
    if (stale !== undefined) {
      // Containers that are running keep what they have, which is gone on the server.
      await ensureUnmounted(root, 'lazy', budget);
      const parts = config.subdir ?? [];
      await isStale(
        parts.map((_, index) => [ensured.mount.mountPoint, ...parts.slice(0, index + 1)].join('/')),
        budget,
      );
    }
    const { mount, note = stale?.message } = ensured;
    await this.#bind(config, root, budget);
    this.#exports.noteUser(config, name, true);
    if (!config.readOnly) await applyOwnership(root, config, details['owned'] !== true, budget);
    const fact = (option: string): string =>
      mount.superOptions.match(new RegExp(`(?:^|,)${option}=([^,]+)`))?.[1] ?? '';
    return {
      path: root,
      details: { ...details, server: fact('addr'), version: fact('vers'), owned: true },
      ...(note === undefined ? {} : { note }),
    };
  }

  /** A sub-folder can be deleted and made anew on the server while its export stays well. */
  async #staleRoot(root: string, { subdir }: NfsConfig, budget: Budget): Promise<Trouble | undefined> {
    if (subdir === undefined || findMountAt(root, readMountinfo()) === undefined || !(await isStale([root], budget)))
      return undefined;
    return staleTrouble(subdir.join('/'));
  }

  /** The sub-folder is there in most cases, so it is made only when the bind fails for the want of it. */
  async #bind(config: NfsConfig, root: string, budget: Budget): Promise<void> {
    const parts = config.subdir ?? [];
    const bind = (): Promise<void> =>
      ensureBound(this.#exports.pathOf(config), parts.join('/'), root, config.readOnly ? 'ro' : '', budget);
    try {
      await bind();
    } catch (error) {
      if (parts.length === 0 || !config.create || !/does not exist|[Nn]o such file/.test((error as Error).message))
        throw error;
      await makeRemoteSubFolder(this.#exports.pathOf(config), parts, ownershipOf(config), budget);
      await bind();
    }
  }

  /** One at a time for each export, and an answer at the deadline even while an earlier one hangs. */
  async #turn<T>({ exportKey }: Pick<NfsConfig, 'exportKey'>, budget: Budget, work: () => Promise<T>): Promise<T> {
    const { promise: over, reject } = Promise.withResolvers<never>();
    const giveUp = (): void =>
      reject(
        new PluginError('VOL_MOUNT_TIMEOUT', 'the NFS server did not answer in time', {
          hint: 'other volumes are not affected',
        }),
      );
    budget.signal.addEventListener('abort', giveUp, { once: true });
    const turn = this.#turns.run(exportKey, async () => {
      if (budget.signal.aborted)
        throw new PluginError('VOL_MOUNT_TIMEOUT', 'an earlier request to the same NFS server took all the time');
      return await work();
    });
    turn.catch(() => {});
    try {
      return await Promise.race([turn, over]);
    } finally {
      budget.signal.removeEventListener('abort', giveUp);
    }
  }
}
