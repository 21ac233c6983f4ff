/** Events of containers, with the attributes that Docker sends: image, name and labels, and what the action adds. */
import type { Engine } from '../engine.ts';
import { now } from '../timestamp.ts';
import type { Container } from './registry.ts';

export function emitContainerEvent(
  engine: Engine,
  container: Container,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  const { config, name } = container.record;
  const attributes = { ...config.Labels, image: config.Image, name, ...more };
  engine.events.emit({
    Type: 'container',
    Action: action,
    Actor: { ID: container.id, Attributes: attributes },
    at: now(),
  });
}
