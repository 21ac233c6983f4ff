/** The `tag` option: a template of Docker's over the container. moby daemon/logger/loggerutils/log_tag.go, loginfo.go */
import { hostname } from 'node:os';
import { PluginError } from '../sdk/errors.ts';
import type { LogInfo } from '../sdk/log-plugin.ts';
import { parseTimestamp } from '../sdk/protocol/timestamp.ts';
import { timeStruct } from './template/go-time.ts';
import { renderTemplate } from './template/render.ts';
import type { Struct, Value } from './template/value.ts';

/** Throws PROTO_OPTION when the template cannot be parsed or asks for what is not there. */
export function renderTag(info: LogInfo, otherwise: string, driver: string): string {
  const template = info.config['tag'] || otherwise;
  try {
    return renderTemplate(template, infoStruct(info));
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new PluginError('PROTO_OPTION', `${driver}: option tag=${template} cannot be used: ${text}`, {
      hint: 'use a template such as {{.Name}}/{{.ID}}',
      cause,
    });
  }
}

export function containerName(info: LogInfo): string {
  return info.containerName.replace(/^\//, '');
}

export function containerCommand(info: LogInfo): string {
  return [info.containerEntrypoint, ...info.containerArgs].join(' ');
}

/** Go cuts `sha256:` image ids at 12 characters too. */
function infoStruct(info: LogInfo): Struct {
  return {
    structName: '*logger.Info',
    fields: new Map<string, Value>([
      ['Config', new Map(Object.entries(info.config))],
      ['ContainerID', info.containerId],
      ['ContainerName', info.containerName],
      ['ContainerEntrypoint', info.containerEntrypoint],
      ['ContainerArgs', info.containerArgs],
      ['ContainerImageID', info.containerImageId],
      ['ContainerImageName', info.containerImageName],
      ['ContainerCreated', timeStruct(info.containerCreated, parseTimestamp(info.containerCreated) ?? 0n)],
      ['ContainerEnv', info.containerEnv],
      ['ContainerLabels', new Map(Object.entries(info.containerLabels))],
      ['LogPath', info.logPath],
      ['DaemonName', info.daemonName],
    ]),
    methods: new Map<string, () => Value>([
      ['ID', () => info.containerId.slice(0, 12)],
      ['FullID', () => info.containerId],
      ['Name', () => containerName(info)],
      ['ImageID', () => info.containerImageId.slice(0, 12)],
      ['ImageFullID', () => info.containerImageId],
      ['ImageName', () => info.containerImageName],
      ['Command', () => containerCommand(info)],
      ['Hostname', () => hostname()],
    ]),
  };
}
