/** Images: their records and names. Their layers are layer-store.ts's. */
import { createHash } from 'node:crypto';
import type { Store, Table } from '../../plugins/store/store.ts';
import { notFound } from '../api/api-error.ts';
import type { ContainerConfig } from '../container/record.ts';
import { LayerStore } from './layer-store.ts';
import { formatReference, normalizeReference } from './reference.ts';

/** The `config` of an OCI image configuration. */
export type ImageConfig = Partial<ContainerConfig>;

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface ImageRecord {
  /** `sha256:…` of the configuration, as its bytes were read. */
  readonly id: string;
  /** The configuration's text, byte for byte, so that `docker save` gives back what was loaded. */
  readonly configText: string;
  /** Diff IDs, the lowest layer first. */
  readonly diffIds: readonly string[];
  /** Unpacked bytes of all layers. */
  readonly size: number;
  /** Normalised `name:tag`; empty for a dangling image. */
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Image that `docker commit` started from. */
  readonly parent?: string;
  /** When it came to this host, RFC 3339. */
  readonly loaded: string;
  readonly lastTagged?: string;
  /** Removed by force while stopped containers were made from it: out of sight, but its layers stay as long as they do. */
  readonly removed?: true;
}

/** The OCI image configuration, as far as it is read. */
export interface ImageConfiguration {
  readonly architecture?: string;
  readonly variant?: string;
  readonly os?: string;
  readonly author?: string;
  readonly created?: string;
  readonly comment?: string;
  readonly docker_version?: string;
  readonly config?: ImageConfig | null;
  readonly rootfs?: { readonly type: string; readonly diff_ids: readonly string[] };
  readonly history?: readonly HistoryEntry[] | null;
}

export class ImageStore {
  readonly #table: Table<ImageRecord>;
  readonly #store: Store;
  /** What the table holds: `docker ps` looks up an image for each container. */
  #byId: Map<string, ImageRecord>;
  readonly layers: LayerStore;

  constructor(store: Store, dataRoot: string) {
    this.#store = store;
    this.#table = store.table<ImageRecord>('image', { version: 1 });
    this.#byId = new Map(this.#table.entries());
    this.layers = new LayerStore(store, dataRoot);
  }

  /** Without those that are only kept for their containers. */
  list(): ImageRecord[] {
    return this.listAll().filter((image) => image.removed !== true);
  }

  listAll(): ImageRecord[] {
    return [...this.#byId.values()];
  }

  /** By `name:tag`, name, digest, id or unique id prefix, in this order. */
  find(reference: string): ImageRecord | undefined {
    const hex = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(reference)?.[1];
    if (hex?.length === 64) return this.#visible(`sha256:${hex}`);
    const named = reference.startsWith('sha256:') ? undefined : this.findByName(reference);
    if (named !== undefined || hex === undefined) return named;
    const matches = this.list().filter((image) => image.id.startsWith(`sha256:${hex}`));
    return matches.length === 1 ? matches[0] : undefined;
  }

  findByName(reference: string): ImageRecord | undefined {
    const normal = normalizeReference(reference);
    return this.list().find((image) => image.repoTags.includes(normal) || image.repoDigests.includes(normal));
  }

  /** Throws Docker's 404. */
  get(reference: string): ImageRecord {
    const image = this.find(reference);
    if (image === undefined) throw notFound(`No such image: ${formatReference(reference)}`);
    return image;
  }

  /** By full id, also when it is only kept for its containers. */
  findById(id: string): ImageRecord | undefined {
    return this.#byId.get(id);
  }

  getById(id: string): ImageRecord {
    const image = this.findById(id);
    if (image === undefined) throw notFound(`No such image: ${id}`);
    return image;
  }

  put(record: ImageRecord): void {
    this.#table.put(record.id, record);
    this.#byId.set(record.id, record);
  }

  delete(id: string): void {
    this.#table.delete(id);
    this.#byId.delete(id);
  }

  /**
   * Records an image, or finds it again, and gives it these names, which other images lose. Returns those that lost one.
   * One transaction.
   */
  add(record: ImageRecord, tags: readonly string[]): ImageRecord[] {
    try {
      return this.#store.transaction(() => this.#add(record, tags));
    } catch (error) {
      this.#byId = new Map(this.#table.entries()); // undone on disk
      throw error;
    }
  }

  #add(record: ImageRecord, tags: readonly string[]): ImageRecord[] {
    const known = this.#byId.get(record.id);
    const losers = tags.flatMap((tag) => this.#takeTag(tag, record.id));
    const base = known === undefined ? record : { ...known, loaded: known.removed ? record.loaded : known.loaded };
    const { removed: _, ...kept } = base;
    this.put({
      ...kept,
      repoTags: [...new Set([...kept.repoTags, ...tags])],
      ...(tags.length > 0 ? { lastTagged: record.loaded } : {}),
    });
    return losers;
  }

  #takeTag(tag: string, except: string): ImageRecord[] {
    const losers = this.listAll().filter((image) => image.id !== except && image.repoTags.includes(tag));
    for (const image of losers) this.put({ ...image, repoTags: image.repoTags.filter((name) => name !== tag) });
    return losers;
  }

  /** Removes the layers that no image needs any more. */
  collect(): void {
    this.layers.collect(new Set(this.listAll().flatMap((image) => image.diffIds)));
  }

  /** Names of the unpacked layers below `layers.folder`, the topmost first, as overlayfs takes its `lowerdir`. */
  layerNames(image: ImageRecord): string[] {
    return image.diffIds.map((diffId) => this.layers.get(diffId).name).reverse();
  }

  #visible(id: string): ImageRecord | undefined {
    const image = this.#byId.get(id);
    return image?.removed === true ? undefined : image;
  }
}

const configurations = new WeakMap<ImageRecord, ImageConfiguration>();

/** Checked when the image came in. */
export function readConfiguration(image: ImageRecord): ImageConfiguration {
  const known = configurations.get(image);
  if (known !== undefined) return known;
  const configuration = JSON.parse(image.configText) as ImageConfiguration;
  configurations.set(image, configuration);
  return configuration;
}

/** Chain IDs of the layers, the lowest first. OCI image specification, "Layer ChainID". */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(
      parent === undefined ? diffId : `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`,
    );
  }
  return chain;
}
