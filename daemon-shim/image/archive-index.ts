/**
 * Which images an archive holds: the `manifest.json` of `docker save` (every version since 1.10; Docker 25 and newer write an
 * OCI layout with a manifest.json in it), or else the `index.json` of an OCI image layout.
 */
import { badRequest } from '../api/api-error.ts';
import { architecture } from '../architecture.ts';
import { type ArchiveFile, type ArchiveFiles, parseArchiveJson, readArchiveText } from './archive-files.ts';
import { parseReference } from './reference.ts';

export interface ArchivedImage {
  readonly config: ArchiveFile;
  /** The lowest first. */
  readonly layers: readonly ArchiveFile[];
  /** As the archive spells them. */
  readonly tags: readonly string[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform: { readonly os: string; readonly architecture: string } | undefined;
}

/** Indexes may hold indexes; nobody nests deeper. */
const maxDepth = 4;

export function findArchivedImages(files: ArchiveFiles): ArchivedImage[] {
  const manifest = files.find('manifest.json');
  if (manifest !== undefined) return dockerImages(files, manifest);
  const index = files.find('index.json');
  if (index !== undefined) return ociImages(files, index);
  if (files.find('repositories') !== undefined) {
    throw badRequest(
      'unsupported image archive: it was written by Docker 1.9 or older; save it again with a newer one',
    );
  }
  throw badRequest(
    'invalid archive: it has neither a manifest.json (docker save) nor an index.json (OCI image layout); a root file system is loaded with docker import',
  );
}

function dockerImages(files: ArchiveFiles, manifest: ArchiveFile): ArchivedImage[] {
  const entries = parseArchiveJson(readArchiveText(manifest, 'manifest.json'), 'manifest.json');
  if (!Array.isArray(entries)) throw badRequest('invalid archive: manifest.json is no list');
  return entries.map((entry: unknown) => {
    const { Config, RepoTags, Layers } = objectOf(entry, 'manifest.json');
    return {
      config: files.get(textOf(Config, 'manifest.json: Config')),
      layers: textsOf(Layers, 'manifest.json: Layers').map((name) => files.get(name)),
      tags: textsOf(RepoTags, 'manifest.json: RepoTags'),
    };
  });
}

function ociImages(files: ArchiveFiles, index: ArchiveFile): ArchivedImage[] {
  const images = descriptorsOf(index, 'index.json').flatMap((descriptor) => resolve(files, descriptor, [], 0));
  if (images.length === 0) throw badRequest(`invalid archive: it has no image for linux/${architecture()}`);
  return images;
}

function resolve(
  files: ArchiveFiles,
  descriptor: Descriptor,
  names: readonly string[],
  depth: number,
): ArchivedImage[] {
  if (depth > maxDepth) throw badRequest('invalid archive: indexes are nested too deeply');
  const { platform, annotations } = descriptor;
  if (platform !== undefined && (platform.os !== 'linux' || platform.architecture !== architecture())) return [];
  // What belongs to an image but is none: build attestations.
  if (annotations['vnd.docker.reference.type'] !== undefined) return [];
  const tags = [...names, ...tagOf(annotations)];
  const file = files.blob(descriptor.digest);
  if (/image\.index|manifest\.list/.test(descriptor.mediaType)) {
    return descriptorsOf(file, descriptor.digest).flatMap((child) => resolve(files, child, tags, depth + 1));
  }
  const manifest = objectOf(parseArchiveJson(readArchiveText(file, descriptor.digest), descriptor.digest), 'manifest');
  const config = descriptorOf(manifest['config'], 'manifest: config');
  if (!/(oci\.image\.config|docker\.container\.image)\.v1\+json/.test(config.mediaType)) return [];
  const layers = listOf(manifest['layers'], 'manifest: layers').map((layer) => descriptorOf(layer, 'manifest: layers'));
  return [{ config: files.blob(config.digest), layers: layers.map((layer) => files.blob(layer.digest)), tags }];
}

/** containerd and Docker annotate the whole name; `ref.name` is often the tag alone, which names nothing. */
function tagOf(annotations: Readonly<Record<string, string>>): string[] {
  const full = annotations['io.containerd.image.name'];
  if (full !== undefined) return [full];
  const short = annotations['org.opencontainers.image.ref.name'];
  return short !== undefined && /[:/]/.test(short) && isReference(short) ? [short] : [];
}

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}

function descriptorsOf(file: ArchiveFile, what: string): Descriptor[] {
  const index = objectOf(parseArchiveJson(readArchiveText(file, what), what), what);
  return listOf(index['manifests'], `${what}: manifests`).map((entry) => descriptorOf(entry, `${what}: manifests`));
}

function descriptorOf(value: unknown, what: string): Descriptor {
  const { mediaType, digest, annotations, platform } = objectOf(value, what);
  const place = platform === undefined || platform === null ? undefined : objectOf(platform, what);
  return {
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    digest: textOf(digest, `${what}: digest`),
    annotations: Object.fromEntries(
      Object.entries(annotations === undefined || annotations === null ? {} : objectOf(annotations, what)).map(
        ([name, text]) => [name, String(text)],
      ),
    ),
    platform:
      place === undefined ? undefined : { os: String(place['os']), architecture: String(place['architecture']) },
  };
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(`invalid archive: ${what} is no object`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw badRequest(`invalid archive: ${what} is no list`);
  return value;
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw badRequest(`invalid archive: ${what} is no text`);
  return value;
}

/** Null is the empty list: Go writes it so. */
function textsOf(value: unknown, what: string): string[] {
  return value === null || value === undefined ? [] : listOf(value, what).map((item) => textOf(item, what));
}
