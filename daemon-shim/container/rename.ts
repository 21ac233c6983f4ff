/** `rename`: the record, and the names by which the others on its networks find it. */
import { badRequest } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { namesOf, setEndpoint } from '../sandbox/attach-networks.ts';
import { emitContainerEvent } from './event.ts';
import type { Container } from './registry.ts';

/** Under the lock. Drivers learn the new name from the event: the plugin protocol has no word for it. */
export function renameContainer(engine: Engine, container: Container, given: string): void {
  const name = given.replace(/^\//, '');
  if (name === '') throw badRequest('Neither old nor new names may be empty');
  const old = container.record.name;
  if (name === old) throw badRequest('Renaming a container with the same name as its current name');
  engine.containers.rename(container, name);
  for (const [network, endpoint] of Object.entries(container.record.endpoints)) {
    if (endpoint.endpointId === '') continue;
    setEndpoint(container, network, { ...endpoint, dnsNames: namesOf(container, endpoint).dnsNames });
  }
  emitContainerEvent(engine, container, 'rename', { oldName: `/${old}` });
}
