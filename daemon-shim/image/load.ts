/** `docker load`: archive → spooled files → layers that are not here yet → records. Nothing stays of what fails. */
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import { badRequest } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { type ArchiveFile, ArchiveFiles, readArchiveFile, readArchiveText } from './archive-files.ts';
import { type ArchivedImage, findArchivedImages } from './archive-index.ts';
import { type CheckedConfiguration, checkConfiguration } from './configuration.ts';
import { emitImageEvent } from './event.ts';
import { asLoadError } from './layer-store.ts';
import { progressLine, type Report } from './progress.ts';
import { normalizeReference } from './reference.ts';

/** A line of progress for each so many bytes, as Docker sends them. */
const progressStepBytes = 512 << 10;

/** Throws ApiError. `quiet` leaves the progress out. */
export async function loadImages(
  engine: Engine,
  archive: AsyncIterable<Buffer>,
  report: Report,
  quiet: boolean,
): Promise<void> {
  const folder = engine.images.layers.makeTemporary();
  try {
    const files = await ArchiveFiles.read(archive, folder);
    for (const image of findArchivedImages(files)) await loadImage(engine, image, report, quiet);
  } catch (error) {
    throw asLoadError(error);
  } finally {
    await removeTree(folder);
    // Layers of an image that could not be finished.
    engine.images.collect();
  }
}

async function loadImage(engine: Engine, archived: ArchivedImage, report: Report, quiet: boolean): Promise<void> {
  const configText = readArchiveText(archived.config, 'the image configuration');
  const checked = checkConfiguration(configText);
  const { diffIds } = checked;
  if (archived.layers.length !== diffIds.length) {
    throw badRequest(
      `invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${archived.layers.length}`,
    );
  }
  const tags = archived.tags.map(normalizeReference);
  const pins = diffIds.map((diffId) => engine.images.layers.pin(diffId));
  try {
    for (const [index, file] of archived.layers.entries()) {
      await loadLayer(engine, file, diffIds[index] as string, quiet ? undefined : report);
    }
    record(engine, checked, configText, tags, report);
  } finally {
    for (const release of pins) release();
  }
}

async function loadLayer(engine: Engine, file: ArchiveFile, diffId: string, report: Report | undefined): Promise<void> {
  const { layers } = engine.images;
  if (layers.find(diffId) !== undefined) return;
  const id = diffId.slice('sha256:'.length, 'sha256:'.length + 12);
  let reported = 0;
  let read = 0;
  const tell = () => report?.(progressLine('Loading layer', id, read, file.size));
  const chunks = (async function* () {
    for await (const chunk of readArchiveFile(file)) {
      read += chunk.length;
      if (read - reported >= progressStepBytes) {
        reported = read;
        tell();
      }
      yield chunk;
    }
  })();
  const { release } = await layers.add({ chunks, diffId });
  release(); // the whole image's layers are pinned
  tell();
}

function record(
  engine: Engine,
  { id, diffIds }: CheckedConfiguration,
  configText: string,
  tags: readonly string[],
  report: Report,
): void {
  const { images } = engine;
  const loaded = formatTimestamp(now());
  const size = diffIds.reduce((sum, diffId) => sum + images.layers.get(diffId).size, 0);
  const losers = images.add({ id, configText, diffIds, size, repoTags: [], repoDigests: [], loaded }, tags);
  for (const loser of losers) {
    const lost = loser.repoTags.find((tag) => tags.includes(tag));
    report({
      stream: `The image ${lost} already exists, renaming the old one with ID ${loser.id} to empty string\n`,
    });
  }
  for (const tag of tags) report({ stream: `Loaded image: ${tag}\n` });
  if (tags.length === 0) report({ stream: `Loaded image ID: ${id}\n` });
  emitImageEvent(engine, images.getById(id), 'load', id);
}
