/** `docker system df`: what images, containers and volumes take. */
import { upperBytes } from '../container/disk-usage.ts';
import { listContainers } from '../container/list.ts';
import type { Engine } from '../engine.ts';
import { summarizeForUsage } from '../image/list.ts';
import { volumeBytes } from '../volume/size.ts';
import { listVolumes } from '../volume/volumes.ts';

export const usageTypes = ['container', 'image', 'volume', 'build-cache'] as const;
export type UsageType = (typeof usageTypes)[number];

export async function diskUsage(engine: Engine, types: readonly UsageType[], version: number): Promise<object> {
  const has = (type: UsageType) => types.includes(type);
  return {
    ...(has('image')
      ? {
          LayersSize: engine.images.layers.list().reduce((sum, layer) => sum + layer.size, 0),
          Images: engine.images.list().map((image) => summarizeForUsage(engine, image, version)),
        }
      : {}),
    ...(has('container') ? { Containers: await containersWithSize(engine) } : {}),
    ...(has('volume') ? { Volumes: await volumesWithSize(engine) } : {}),
    ...(has('build-cache') ? { BuildCache: [] } : {}),
    ...(has('build-cache') && version < 1042 ? { BuilderSize: 0 } : {}),
  };
}

async function containersWithSize(engine: Engine): Promise<object[]> {
  const list = listContainers(engine, { all: true, limit: undefined, filters: new Map() });
  return Promise.all(list.map((summary) => addSize(engine, summary)));
}

/** Adds the fields of `docker ps --size`. */
export async function addSize(engine: Engine, summary: object): Promise<object> {
  const container = engine.containers.find((summary as { Id: string }).Id);
  if (container === undefined) return summary;
  const own = await upperBytes(engine, container);
  const image = engine.images.findById(container.record.imageId);
  return { ...summary, SizeRw: own, SizeRootFs: own + (image?.size ?? 0) };
}

async function volumesWithSize(engine: Engine): Promise<object[]> {
  const { volumes } = await listVolumes(engine);
  return Promise.all(
    volumes.map(async (volume) => ({
      ...volume,
      UsageData: { RefCount: usersOf(engine, volume.Name), Size: await volumeBytes(engine, volume) },
    })),
  );
}

function usersOf(engine: Engine, name: string): number {
  return engine.containers.list().filter(({ record }) => record.mounts.some((mount) => mount.name === name)).length;
}
