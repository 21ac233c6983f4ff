/**
 * `docker save`: the OCI layout with a manifest.json that Docker 25 and newer write, which 20.10 loads as well. Layers are the
 * very bytes that came in, so that digests stay what they were.
 *
 *     blobs/sha256/…   layers (uncompressed tar), configurations, manifests
 *     index.json oci-layout          for OCI tools      manifest.json repositories     for docker load
 */
import { createHash } from 'node:crypto';
import { notFound } from '../api/api-error.ts';
import type { TarEntryType } from '../archive/tar-entry.ts';
import { encodeHeader, endOfArchive, paddingFor } from '../archive/tar-writer.ts';
import type { Engine } from '../engine.ts';
import { emitImageEvent } from './event.ts';
import { type ImageRecord, readConfiguration } from './image-store.ts';
import { parseReference } from './reference.ts';

interface Saved {
  readonly image: ImageRecord;
  readonly tags: readonly string[];
}

/** Throws 404 before the first byte when one is missing. A name of a repository saves all its tags. */
export function saveImages(engine: Engine, names: readonly string[]): AsyncGenerator<Buffer> {
  const saved = new Map<string, { image: ImageRecord; tags: Set<string> }>();
  for (const name of names) {
    for (const { image, tags } of resolveName(engine, name)) {
      const entry = saved.get(image.id) ?? { image, tags: new Set<string>() };
      for (const tag of tags) entry.tags.add(tag);
      saved.set(image.id, entry);
    }
  }
  const list = [...saved.values()].map(({ image, tags }) => ({ image, tags: [...tags] }));
  // Removed meanwhile, an image would end the archive half way.
  const pins = list.flatMap(({ image }) => image.diffIds.map((diffId) => engine.images.layers.pin(diffId)));
  return writeArchive(engine, list, () => {
    for (const release of pins) release();
  });
}

function resolveName(engine: Engine, name: string): Saved[] {
  const { images } = engine;
  const image = images.find(name);
  const isId = image !== undefined && (image.id === name || image.id.slice('sha256:'.length).startsWith(name));
  if (isId) return [{ image, tags: [] }];
  const { name: repository, tag, digest } = parseReference(name);
  if (tag !== undefined || digest !== undefined) {
    if (image === undefined) throw notFound(`No such image: ${name}`);
    return [{ image, tags: tag === undefined ? [] : [`${repository}:${tag}`] }];
  }
  const all = images
    .list()
    .map((candidate) => ({
      image: candidate,
      tags: candidate.repoTags.filter((own) => own.slice(0, own.lastIndexOf(':')) === repository),
    }))
    .filter(({ tags }) => tags.length > 0);
  if (all.length === 0) throw notFound(`No such image: ${name}`);
  return all;
}

async function* writeArchive(engine: Engine, list: readonly Saved[], done: () => void): AsyncGenerator<Buffer> {
  try {
    const written = new Set<string>();
    const manifests = list.map((saved) => ({ ...saved, manifest: manifestOf(engine, saved.image) }));
    yield header('blobs/', 'directory', 0);
    yield header('blobs/sha256/', 'directory', 0);
    for (const { image, manifest } of manifests) {
      yield* blob(written, Buffer.from(image.configText));
      yield* blob(written, manifest);
      for (const diffId of image.diffIds) {
        if (written.has(diffId)) continue;
        written.add(diffId);
        yield* layerBlob(engine, diffId);
      }
    }
    yield* file('index.json', JSON.stringify(indexOf(manifests)));
    yield* file('manifest.json', JSON.stringify(manifests.map((saved) => dockerManifest(engine, saved))));
    yield* file('oci-layout', '{"imageLayoutVersion": "1.0.0"}');
    const repositories = repositoriesOf(list);
    if (Object.keys(repositories).length > 0) yield* file('repositories', JSON.stringify(repositories));
    yield endOfArchive;
    for (const { image } of list) emitImageEvent(engine, image, 'save', image.id);
  } finally {
    done();
  }
}

async function* layerBlob(engine: Engine, diffId: string): AsyncGenerator<Buffer> {
  const layer = engine.images.layers.get(diffId);
  yield header(blobName(diffId), 'file', layer.tarSize);
  yield* engine.images.layers.readTar(layer);
  yield paddingFor(layer.tarSize);
}

function* blob(written: Set<string>, content: Buffer): Generator<Buffer> {
  const digest = sha256(content);
  if (written.has(digest)) return;
  written.add(digest);
  yield* file(blobName(digest), content);
}

function* file(name: string, content: string | Buffer): Generator<Buffer> {
  const bytes = Buffer.from(content);
  yield header(name, 'file', bytes.length);
  yield bytes;
  yield paddingFor(bytes.length);
}

/** The same archive every time: no times, no owners. */
function header(name: string, type: TarEntryType, size: number): Buffer {
  const mode = type === 'directory' ? 0o755 : 0o644;
  return encodeHeader({
    ...{ name, type, size, mode, linkName: '', uid: 0, gid: 0, mtime: 0, devMajor: 0, devMinor: 0, xattrs: {} },
  });
}

function manifestOf(engine: Engine, image: ImageRecord): Buffer {
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: image.id,
      size: Buffer.byteLength(image.configText),
    },
    layers: image.diffIds.map((diffId) => layerDescriptor(engine, diffId)),
  };
  return Buffer.from(JSON.stringify(manifest));
}

function layerDescriptor(engine: Engine, diffId: string) {
  const size = engine.images.layers.get(diffId).tarSize;
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: diffId, size };
}

function indexOf(manifests: readonly (Saved & { readonly manifest: Buffer })[]): object {
  return {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: manifests.flatMap(({ image, tags, manifest }) => {
      const { architecture, os, variant } = readConfiguration(image);
      const descriptor = {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: sha256(manifest),
        size: manifest.length,
        ...(architecture ? { platform: { architecture, os: os ?? 'linux', ...(variant ? { variant } : {}) } } : {}),
      };
      if (tags.length === 0) return [descriptor];
      return tags.map((tag) => ({
        ...descriptor,
        annotations: {
          'io.containerd.image.name': fullName(tag),
          'org.opencontainers.image.ref.name': tag.slice(tag.lastIndexOf(':') + 1),
        },
      }));
    }),
  };
}

function dockerManifest(engine: Engine, { image, tags }: Saved): object {
  return {
    Config: blobName(image.id),
    RepoTags: tags.length > 0 ? tags : null,
    Layers: image.diffIds.map(blobName),
    LayerSources: Object.fromEntries(image.diffIds.map((diffId) => [diffId, layerDescriptor(engine, diffId)])),
  };
}

/** Name → tag → top layer: read by nobody since Docker 1.10, written by everybody. */
function repositoriesOf(list: readonly Saved[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, tags } of list) {
    for (const tag of tags) {
      const at = tag.lastIndexOf(':');
      const name = tag.slice(0, at);
      repositories[name] = { ...repositories[name], [tag.slice(at + 1)]: image.diffIds.at(-1)?.slice(7) ?? '' };
    }
  }
  return repositories;
}

/** `docker.io/library/busybox:latest`, as registries and containerd spell it. */
function fullName(tag: string): string {
  const first = tag.split('/')[0] ?? '';
  if (!tag.includes('/')) return `docker.io/library/${tag}`;
  return /[.:]/.test(first) || first === 'localhost' ? tag : `docker.io/${tag}`;
}

function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
