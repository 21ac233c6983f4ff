/**
 * Images: their records, and where their layers are unpacked. Layers are shared by chain ID, as the OCI image specification
 * defines it (sha256 of the parent's chain ID, a blank and the layer's diff ID).
 *
 *     DATA_ROOT/layers/CHAIN/diff     one unpacked layer, whiteouts in overlayfs form
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Store, Table } from '../../plugins/store/store.ts';
import { badRequest, notFound } from '../api/api-error.ts';
import type { ContainerConfig } from '../container/record.ts';
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
}

/** The OCI image configuration, as far as it is read. */
export interface ImageConfiguration {
  readonly architecture?: string;
  readonly variant?: string;
  readonly os?: string;
  readonly author?: string;
  readonly created?: string;
  readonly config?: ImageConfig;
  readonly rootfs?: { readonly type: string; readonly diff_ids: readonly string[] };
  readonly history?: readonly HistoryEntry[];
}

export class ImageStore {
  readonly #table: Table<ImageRecord>;
  readonly #dataRoot: string;

  constructor(store: Store, dataRoot: string) {
    this.#table = store.table<ImageRecord>('image', { version: 1 });
    this.#dataRoot = dataRoot;
  }

  list(): ImageRecord[] {
    return this.#table.entries().map(([, record]) => record);
  }

  /** By `name:tag`, name, digest, id or unique id prefix. */
  find(reference: string): ImageRecord | undefined {
    const wanted = reference.replace(/^sha256:/, '');
    if (/^[0-9a-f]{4,64}$/.test(wanted)) {
      const matches = this.#table.entries(`sha256:${wanted}`);
      if (matches.length > 1) throw badRequest(`multiple IDs found with provided prefix: ${reference}`);
      if (matches[0] !== undefined) return matches[0][1];
    }
    const normal = normalizeReference(reference);
    return this.list().find((image) => image.repoTags.includes(normal) || image.repoDigests.includes(normal));
  }

  /** Throws Docker's 404. */
  get(reference: string): ImageRecord {
    const image = this.find(reference);
    if (image === undefined) throw notFound(`No such image: ${formatReference(reference)}`);
    return image;
  }

  put(record: ImageRecord): void {
    this.#table.put(record.id, record);
  }

  delete(id: string): void {
    this.#table.delete(id);
  }

  /** The unpacked layers, the topmost first, as overlayfs takes its `lowerdir`. */
  layerFolders(image: ImageRecord): string[] {
    return chainIds(image.diffIds)
      .map((chain) => this.layerFolder(chain))
      .reverse();
  }

  layerFolder(chainId: string): string {
    return join(this.#dataRoot, 'layers', chainId.slice('sha256:'.length), 'diff');
  }
}

export function readConfiguration(image: ImageRecord): ImageConfiguration {
  return JSON.parse(image.configText) as ImageConfiguration;
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
