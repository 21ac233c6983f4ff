/** What the `cleat volume` command asks of the daemon, on its control socket. */
import type { FastifyInstance } from 'fastify';
import type { CommonConfig } from './common-options.ts';
import type { DriverVolumes } from './volume-driver.ts';

export function addControlRoutes(app: FastifyInstance, all: readonly DriverVolumes<CommonConfig>[]): void {
  app.get('/status', async () => ({
    drivers: all.map(({ backend, records }) => ({ driver: backend.driver, volumes: records.all().length })),
  }));
}
