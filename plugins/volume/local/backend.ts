/** cleat-local: a folder of ours, with limits if wanted, a folder of the machine, or any file system that mount(2) takes. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { isKernelError } from '../../linux/errors.ts';
import { useDirectIo } from '../../linux/loop.ts';
import { findMountAt, type MountEntry, readMountinfo } from '../../linux/mountinfo.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Attached, Backend, BackendVolume, Budget, Usage } from '../backend.ts';
import { ownershipOf } from '../common-options.ts';
import { readCredentials } from '../credentials.ts';
import { fileSystemUsageNow, measureFileSystem, measureFolder } from '../file-system-usage.ts';
import type { Layout } from '../layout.ts';
import { ensureBound, ensureMounted, ensureUnmounted, unmountRemote } from '../mounting.ts';
import { applyOwnership } from '../ownership.ts';
import type { Details } from '../records.ts';
import { resolveMountAddress } from '../server-address.ts';
import { makeLocalSubFolder, makeRemoteSubFolder } from '../sub-folder.ts';
import type { Trash } from '../trash.ts';
import { growImage, imageUsage, makeImage } from './image.ts';
import { imageFolder, type LocalPaths, planLocal } from './mount-plan.ts';
import { type LocalConfig, parseLocalOptions } from './options.ts';
import { changeLimits, enforcesProjectQuota, folderUsage, limitFolder } from './project-quota.ts';

type LocalVolume = BackendVolume<LocalConfig>;

const driver = 'cleat-local';

/** File systems that have a server, and so may hang. */
const remoteTypes = /^(nfs4?|cifs|smb3|9p|ceph|glusterfs|afs|fuse.*|virtiofs)$/;

export class LocalBackend implements Backend<LocalConfig> {
  readonly driver = driver;
  readonly #layout: Layout;
  readonly #trash: Trash;

  constructor(layout: Layout, trash: Trash) {
    this.#layout = layout;
    this.#trash = trash;
  }

  parse(options: Readonly<Record<string, string>>): LocalConfig {
    return parseLocalOptions(options);
  }

  isMadeAtOnce({ place }: LocalConfig): boolean {
    return place.kind !== 'limited';
  }

  async create({ name, config }: LocalVolume, budget: Budget): Promise<Details> {
    const { data, image } = this.#paths(name);
    const { place } = config;
    if (place.kind === 'bind' && config.create) makeDevice(place.device);
    if (place.kind === 'bind' || place.kind === 'mount') return {};
    const byProject =
      place.kind === 'limited' && config.quota !== 'image' && enforcesProjectQuota(this.#layout.stateDir);
    if (place.kind === 'limited' && !byProject) {
      const { bytes, inodes } = place;
      if (config.quota === 'project') {
        throw new PluginError('VOL_QUOTA', `the file system of ${this.#layout.stateDir} has no project quota`, {
          hint: 'mount it with prjquota (ext4 with the project feature, or XFS), or use quota=image',
        });
      }
      if (bytes === undefined)
        throw new PluginError('VOL_QUOTA', 'inodes= without size= needs project quota', {
          hint: 'give a size= as well',
        });
      await makeImage(image, { bytes, inodes, fs: config.fs, preallocate: config.preallocate }, budget);
      return { image: true };
    }
    mkdirSync(data, { recursive: true, mode: 0o755 });
    const details = place.kind === 'limited' ? { projectId: limitFolder(data, place) } : {};
    await applyOwnership(data, config, false, budget);
    return details;
  }

  async attach(volume: LocalVolume, budget: Budget): Promise<Attached> {
    const { config, details, name } = volume;
    const paths = this.#paths(name);
    const plan = planLocal(config, details['image'] === true, paths);
    if (plan.path === paths.data || plan.bind?.from === paths.data) requireFolder(paths.data, name);
    if (plan.mount !== undefined) {
      const { place } = config;
      if (place.kind === 'bind' && config.create) makeDevice(place.device);
      const spec = place.kind === 'mount' ? await resolveMountAddress(plan.mount, budget) : plan.mount;
      const secret =
        config.credentials === undefined
          ? {}
          : { secret: { options: readCredentials(config.credentials), folder: this.#layout.runDir } };
      const mounted = await ensureMounted({ ...spec, ...secret }, budget);
      if (details['image'] === true) {
        preferDirectIo(mounted.source);
        makeLocalSubFolder(plan.mount.target, [imageFolder], { mode: 0o755 });
      }
    }
    if (plan.bind !== undefined) {
      const { from, inside, options } = plan.bind;
      const parts = inside.split('/').filter(Boolean);
      if (config.place.kind === 'mount') await makeRemoteSubFolder(from, parts, ownershipOf(config), budget);
      else makeLocalSubFolder(from, parts, ownershipOf(config));
      await ensureBound(from, inside, paths.root, options, budget);
    }
    // A read-only mount's root keeps its owner.
    if (!config.readOnly) await applyOwnership(plan.path, config, details['owned'] !== true, budget);
    return { path: plan.path, details: config.recursive ? { ...details, owned: true } : details };
  }

  async detach({ name, config }: LocalVolume, budget: Budget): Promise<string | undefined> {
    const { root, device } = this.#paths(name);
    if (config.place.kind === 'mount' && remoteTypes.test(config.place.fsType)) {
      return (await unmountRemote(root, budget)) ?? (await unmountRemote(device, budget));
    }
    await ensureUnmounted(root, 'plain', budget);
    await ensureUnmounted(device, 'plain', budget);
    return undefined;
  }

  attachedPath({ name, config, details }: LocalVolume, mounts: readonly MountEntry[]): string | undefined {
    const paths = this.#paths(name);
    const plan = planLocal(config, details['image'] === true, paths);
    const target = plan.bind === undefined ? plan.mount?.target : paths.root;
    return target === undefined || findMountAt(target, mounts) !== undefined ? plan.path : undefined;
  }

  ownsFileSystem({ place }: LocalConfig): boolean {
    return place.kind === 'limited' || place.kind === 'mount';
  }

  ownsData({ place }: LocalConfig): boolean {
    return ownKinds.has(place.kind);
  }

  async discard({ name }: LocalVolume): Promise<void> {
    this.#trash.takeMountFolder(this.#layout.mountFolder(driver, name));
    this.#trash.take(this.#layout.volume(driver, name));
  }

  usageNow({ name, config, details }: LocalVolume, attachedPath: string | undefined): Usage | undefined {
    const { place } = config;
    const projectId = details['projectId'];
    if (typeof projectId === 'number') return folderUsage(this.#paths(name).data, projectId);
    if (place.kind === 'limited') {
      if (attachedPath !== undefined) return fileSystemUsageNow(attachedPath);
      return imageUsage(this.#paths(name).image);
    }
    return place.kind === 'mount' && attachedPath === undefined ? {} : undefined;
  }

  async usage(volume: LocalVolume, budget: Budget): Promise<Usage> {
    const { config, name } = volume;
    if (config.place.kind === 'folder') return await measureFolder(this.#paths(name).data, budget);
    const path = this.attachedPath(volume, readMountinfo());
    return path === undefined ? {} : await measureFileSystem(path, budget);
  }

  checkUpdate({ config, details }: LocalVolume, from: LocalConfig): void {
    const [to, was] = [config.place, from.place];
    if ((ownKinds.has(to.kind) || ownKinds.has(was.kind)) && to.kind !== was.kind) {
      throw cannotChange('the place of the data (size=, device=, type=)');
    }
    if (to.kind !== 'limited' || was.kind !== 'limited' || details['image'] !== true) return;
    if (to.inodes !== was.inodes || config.fs !== from.fs) throw cannotChange('inodes= and fs= of a file system image');
    if (to.bytes === undefined || (was.bytes ?? 0) > to.bytes || (config.fs !== 'ext4' && to.bytes !== was.bytes)) {
      throw cannotChange('size= of a file system image (ext4 grows, nothing shrinks)');
    }
  }

  async update({ name, config, details }: LocalVolume, _from: LocalConfig, budget: Budget): Promise<Details> {
    const { data, image } = this.#paths(name);
    const { place } = config;
    const projectId = details['projectId'];
    if (place.kind === 'limited' && typeof projectId === 'number') changeLimits(data, projectId, place);
    else if (place.kind === 'limited' && place.bytes !== undefined) await growImage(image, place.bytes, budget);
    return { ...details, owned: false };
  }

  #paths(name: LocalVolume['name']): LocalPaths {
    return {
      data: this.#layout.data(driver, name),
      image: this.#layout.image(driver, name),
      root: this.#layout.root(driver, name),
      device: this.#layout.device(driver, name),
    };
  }
}

/** Twice as fast to read, but not every file system under an image can do it (tmpfs, some of FUSE). */
function preferDirectIo(device: string): void {
  try {
    useDirectIo(device);
  } catch (error) {
    if (!isKernelError(error, 'EINVAL', 'EIO')) throw error;
  }
}

/** Kinds whose data is ours: it would be left behind. */
const ownKinds: ReadonlySet<string> = new Set(['folder', 'limited']);

function cannotChange(what: string): PluginError {
  return new PluginError('VOL_OPTIONS_DIFFER', `${what} cannot change in place`, {
    hint: 'make a new volume and copy: cleat volume clone',
  });
}

function makeDevice(device: string): void {
  try {
    mkdirSync(device, { recursive: true });
  } catch (error) {
    if (existsSync(device)) return;
    throw new PluginError('VOL_DEVICE', `device=${device} could not be made: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** An empty folder in place of lost data would look like an empty volume. */
function requireFolder(data: string, name: string): void {
  if (statSync(data, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new PluginError('VOL_DEVICE', `the data of volume "${name}" is gone: there is no folder ${data}`, {
    hint: 'restore it from a backup, or remove the volume',
  });
}
