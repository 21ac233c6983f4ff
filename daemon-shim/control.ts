/** The shim's part of its control socket: `cleat status` shows it. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from './engine.ts';

export function controlRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/status', () => ({
    containers: engine.containers.list().map(({ record }) => ({
      id: record.id.slice(0, 12),
      name: record.name,
      image: record.config.Image,
      status: record.state.status,
      pid: record.state.pid,
      networks: Object.values(record.endpoints).map((endpoint) => endpoint.networkName),
    })),
    images: engine.images.list().map((image) => ({
      id: image.id.slice('sha256:'.length, 'sha256:'.length + 12),
      tags: image.repoTags,
      layers: image.diffIds.length,
      size: image.size,
    })),
  }));
}
