/** What a log plugin is told of a container. */
import type { LogInfo } from '../../plugins/sdk/index.ts';
import type { ContainerRecord } from '../container/record.ts';

export function logInfo(record: ContainerRecord): LogInfo {
  return {
    config: record.hostConfig.LogConfig.Config ?? {},
    containerId: record.id,
    containerName: `/${record.name}`,
    containerEntrypoint: record.path,
    containerArgs: record.args,
    containerImageId: record.imageId,
    containerImageName: record.config.Image,
    containerCreated: record.created,
    containerEnv: record.config.Env,
    containerLabels: record.config.Labels,
    logPath: '',
    daemonName: 'docker',
  };
}
