/**
 * cleat-tmpfs: memory that all holders of a volume share. It exists from the first mount until the last holder has gone, and
 * longer with `keep=`; the kernel holds it, so a restart of this daemon does not touch it.
 */
import { findMountAt, type MountEntry } from '../../linux/mountinfo.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Attached, Backend, BackendVolume, Budget, Usage } from '../backend.ts';
import { fileSystemUsageNow } from '../file-system-usage.ts';
import type { Layout } from '../layout.ts';
import { ensureMounted, ensureUnmounted } from '../mounting.ts';
import { applyOwnership } from '../ownership.ts';
import type { Details } from '../records.ts';
import type { Trash } from '../trash.ts';
import { parseTmpfsOptions, type TmpfsConfig } from './options.ts';

type TmpfsVolume = BackendVolume<TmpfsConfig>;

const driver = 'cleat-tmpfs';

export class TmpfsBackend implements Backend<TmpfsConfig> {
  readonly driver = driver;
  readonly #layout: Layout;
  readonly #trash: Trash;

  constructor(layout: Layout, trash: Trash) {
    this.#layout = layout;
    this.#trash = trash;
  }

  parse(options: Readonly<Record<string, string>>): TmpfsConfig {
    return parseTmpfsOptions(options);
  }

  isMadeAtOnce(): boolean {
    return true;
  }

  async create(): Promise<Details> {
    return {};
  }

  async attach({ name, config }: TmpfsVolume, budget: Budget): Promise<Attached> {
    const target = this.#layout.root(driver, name);
    const options = config.readOnly ? `${config.options},ro` : config.options;
    // The source is only a label: it tells this tmpfs from every other in any mount table.
    await ensureMounted({ source: `cleat:${name}`, target, fsType: 'tmpfs', options }, budget);
    if (!config.readOnly) await applyOwnership(target, config, false, budget);
    return { path: target };
  }

  async detach({ name }: TmpfsVolume, budget: Budget): Promise<undefined> {
    await ensureUnmounted(this.#layout.root(driver, name), 'plain', budget);
    return undefined;
  }

  attachedPath({ name }: TmpfsVolume, mounts: readonly MountEntry[]): string | undefined {
    const target = this.#layout.root(driver, name);
    return findMountAt(target, mounts) === undefined ? undefined : target;
  }

  ownsFileSystem(): boolean {
    return true;
  }

  ownsData(): boolean {
    return true;
  }

  keepMs({ keepMs }: TmpfsConfig): number {
    return keepMs;
  }

  async discard({ name }: TmpfsVolume): Promise<void> {
    this.#trash.takeMountFolder(this.#layout.mountFolder(driver, name));
  }

  usageNow(_volume: TmpfsVolume, attachedPath: string | undefined): Usage {
    return attachedPath === undefined ? {} : fileSystemUsageNow(attachedPath);
  }

  async usage(): Promise<Usage> {
    return {};
  }

  checkUpdate(_volume: TmpfsVolume, from: TmpfsConfig): void {
    if (from.keepMs === 0) return;
    throw new PluginError(
      'VOL_OPTIONS_DIFFER',
      'a tmpfs that is kept cannot change its options without losing its content',
      {
        hint: 'remove the volume and create it again',
      },
    );
  }

  /** The options come with the next mount. */
  async update({ details }: TmpfsVolume): Promise<Details> {
    return details;
  }
}
