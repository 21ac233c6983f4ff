/** The `tag` option: a template of Docker's over the container. */
import type { LogInfo } from '../sdk/log-plugin.ts';

export function renderTag(info: LogInfo, otherwise: string, _driver: string): string {
  return info.config['tag'] || otherwise;
}
