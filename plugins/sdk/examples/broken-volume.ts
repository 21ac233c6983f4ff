/** A volume driver with the mistakes that people make; the conformance suite names each. Not to be used. */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [pluginDir = '/run/docker/plugins', root = '/var/lib/broken-volume'] = process.argv.slice(2);
const volumes = new Map<string, Set<string>>();

function answer(method: string, body: Record<string, string>): unknown {
  const name = body['Name'] ?? 'default'; // An empty body becomes a volume called "default".
  const ids = volumes.get(name);
  switch (method) {
    case '/Plugin.Activate':
      return { Implements: ['volumedriver'] }; // Case counts.
    case '/VolumeDriver.Create':
      mkdirSync(join(root, encodeURIComponent(name)), { recursive: true });
      volumes.set(name, new Set());
      return {};
    case '/VolumeDriver.Get':
      return ids ? { Volume: { Name: name, CreatedAt: 'yesterday' } } : { Error: 'not found' }; // The field is Err.
    case '/VolumeDriver.List':
      return { Volumes: [...volumes.keys()].map((Name) => ({ Name })) };
    case '/VolumeDriver.Mount':
      ids?.add(body['ID'] ?? '');
      return { Mountpoint: join(root, encodeURIComponent(name)) };
    case '/VolumeDriver.Unmount':
      ids?.delete(body['ID'] ?? ''); // A set of IDs forgets that docker cp mounts twice with one.
      if (ids?.size === 0) rmSync(join(root, encodeURIComponent(name)), { recursive: true });
      return {};
    case '/VolumeDriver.Remove':
      return volumes.delete(name) ? {} : { Err: 'no such volume' }; // Done twice is done once.
    default:
      return {};
  }
}

mkdirSync(pluginDir, { recursive: true });
const server = createServer((request, response) => {
  let body = '';
  request
    .on('data', (chunk) => (body += chunk))
    .on('end', () => {
      let reply: unknown = {};
      try {
        reply = answer(request.url ?? '', JSON.parse(body || '{}') ?? {});
      } catch {} // Whatever goes wrong is a success.
      response.end(JSON.stringify(reply));
    });
}).listen(join(pluginDir, 'broken-volume.sock'));
process.once('SIGTERM', () => server.close(() => process.exit()));
