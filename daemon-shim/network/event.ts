/** Events of networks, with the attributes that Docker sends. */
import type { Engine } from '../engine.ts';
import { now } from '../timestamp.ts';
import type { NetworkRecord } from './record.ts';

export function emitNetworkEvent(
  engine: Engine,
  network: NetworkRecord,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  engine.events.emit({
    Type: 'network',
    Action: action,
    Actor: { ID: network.id, Attributes: { name: network.name, type: network.driver, ...more } },
    at: now(),
  });
}
