/** Image archives made by hand, well formed or hostile: layers from entries, the archive as `docker save` writes it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TarEntry } from '../../daemon-shim/archive/tar-entry.ts';
import { encodeHeader, endOfArchive, paddingFor } from '../../daemon-shim/archive/tar-writer.ts';

export type EntrySpec = Partial<Omit<TarEntry, 'size'>> & { readonly name: string; readonly content?: string | Buffer };

/** A tar of these entries, in this order. */
export function makeTar(entries: readonly EntrySpec[]): Buffer {
  return Buffer.concat([...entries.flatMap(encodeEntry), endOfArchive]);
}

function encodeEntry({ content = '', ...entry }: EntrySpec): Buffer[] {
  const bytes = Buffer.from(content);
  const header = encodeHeader({
    ...{ type: 'file', linkName: '', mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, devMajor: 0, devMinor: 0 },
    xattrs: {},
    ...entry,
    size: bytes.length,
  });
  return [header, bytes, paddingFor(bytes.length)];
}

export interface ImageSpec {
  readonly tag?: string;
  /** Each an uncompressed tar; the lowest first. */
  readonly layers: readonly Buffer[];
  /** What the archive holds instead: compressed, or something else. */
  readonly stored?: readonly Buffer[];
  readonly config?: Readonly<Record<string, unknown>>;
}

/** One program that does everything, and what a root needs besides. */
export function busyboxLayer(): Buffer {
  return makeTar([
    { name: 'bin/busybox', mode: 0o755, content: readFileSync('/bin/busybox') },
    ...['sh', 'sleep', 'true', 'cat', 'ls', 'echo'].map((applet) => ({
      ...{ name: `bin/${applet}`, type: 'symlink' as const, linkName: 'busybox' },
    })),
    { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    { name: 'tmp/', type: 'directory', mode: 0o1777 },
  ]);
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** What `docker save` of 25 and newer writes, without the OCI part. */
export function dockerArchive(image: ImageSpec): Buffer {
  const config = configText(image);
  const layers = image.stored ?? image.layers;
  const manifest = {
    Config: 'config.json',
    RepoTags: image.tag === undefined ? null : [image.tag],
    Layers: layers.map((_, index) => `layer${index}.tar`),
  };
  return makeTar([
    { name: 'config.json', content: config },
    ...layers.map((content, index) => ({ name: `layer${index}.tar`, content })),
    { name: 'manifest.json', content: JSON.stringify([manifest]) },
  ]);
}

/** An OCI image layout, as skopeo and buildah write it. */
export function ociArchive(image: ImageSpec, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'): Buffer {
  const config = Buffer.from(configText(image));
  const layers = image.stored ?? image.layers;
  const describe = (bytes: Buffer, type: string) => ({ mediaType: type, digest: digestOf(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: describe(config, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map((layer) => describe(layer, mediaType)),
    }),
  );
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...describe(manifest, 'application/vnd.oci.image.manifest.v1+json'),
        ...(image.tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': image.tag } }),
      },
    ],
  };
  return makeTar([
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: JSON.stringify(index) },
    ...[config, manifest, ...layers].map((content) => ({
      name: `blobs/sha256/${digestOf(content).slice(7)}`,
      content,
    })),
  ]);
}

function configText(image: ImageSpec): string {
  return JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: image.layers.map(digestOf) },
    ...image.config,
  });
}
