/** The labels and variables that the user asked for, by name or by pattern; nothing else of them is kept anywhere. */
import type { LogInfo } from '../sdk/log-plugin.ts';
import { parseGoRegExp } from './go-regexp.ts';

export const attributeOptionNames = ['labels', 'labels-regex', 'env', 'env-regex'] as const;

/** In Docker's order of precedence: labels, labels-regex, env, env-regex; the later one wins. Throws PROTO_OPTION. */
export function findAttributes(info: LogInfo, driver: string): Record<string, string> {
  const { config } = info;
  const env = environment(info);
  return {
    ...chosen(info.containerLabels, config['labels'], config['labels-regex'], 'labels-regex', driver),
    ...chosen(env, config['env'], config['env-regex'], 'env-regex', driver),
  };
}

/** The same information without labels and variables that were not asked for, safe to keep on disk. */
export function redactInfo(info: LogInfo, driver: string): LogInfo {
  const { config } = info;
  const env = chosen(environment(info), config['env'], config['env-regex'], 'env-regex', driver);
  return {
    ...info,
    containerEnv: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    containerLabels: chosen(info.containerLabels, config['labels'], config['labels-regex'], 'labels-regex', driver),
  };
}

function environment(info: LogInfo): Record<string, string> {
  const entries = info.containerEnv.flatMap((entry): [string, string][] => {
    const equals = entry.indexOf('=');
    return equals === -1 ? [] : [[entry.slice(0, equals), entry.slice(equals + 1)]];
  });
  return Object.fromEntries(entries);
}

function chosen(
  values: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
  option: string,
  driver: string,
): Record<string, string> {
  const wanted = names ? names.split(',') : [];
  const matcher = pattern ? parseGoRegExp(pattern, option, driver) : undefined;
  const entries = [
    ...wanted.filter((name) => Object.hasOwn(values, name)).map((name): [string, string] => [name, values[name]!]),
    ...Object.entries(values).filter(([name]) => matcher?.test(name)),
  ];
  return Object.fromEntries(entries);
}
