/** Events of images: the name in use and the image's labels, as Docker sends them. */
import type { Engine } from '../engine.ts';
import { now } from '../timestamp.ts';
import { type ImageRecord, readConfiguration } from './image-store.ts';

/** `name` is what the user said, or the id. */
export function emitImageEvent(engine: Engine, image: ImageRecord, action: string, name: string): void {
  const labels = readConfiguration(image).config?.Labels ?? {};
  engine.events.emit({
    Type: 'image',
    Action: action,
    Actor: { ID: image.id, Attributes: { ...labels, name } },
    at: now(),
  });
}
