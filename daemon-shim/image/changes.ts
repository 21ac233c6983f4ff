/**
 * `--change` of `docker import` and `commit`: Dockerfile instructions that set fields of the configuration. Dockerfile
 * reference; what builds (RUN, COPY …) is refused in Docker's words.
 */
import { findDurationMs } from '../../plugins/sdk/index.ts';
import { badRequest } from '../api/api-error.ts';
import type { HealthConfig } from '../container/record.ts';
import type { ImageConfig } from './image-store.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Config = Mutable<ImageConfig>;
type Instruction = (config: Config, rest: string) => void;

/** A new configuration; each change may hold several lines. Throws 400. */
export function applyChanges(config: ImageConfig, changes: readonly string[]): ImageConfig {
  const result: Config = { ...config };
  const lines = changes.flatMap((change) => change.replaceAll(/\\\n/g, ' ').split('\n'));
  for (const line of lines.map((text) => text.trim()).filter((text) => text !== '' && !text.startsWith('#'))) {
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
    const apply = instructions[word.toLowerCase()];
    if (apply === undefined) throw badRequest(`${word} is not a valid change command`);
    if (rest === '') throw badRequest(`${word.toUpperCase()} requires at least one argument`);
    apply(result, rest.trim());
  }
  return result;
}

const instructions: Readonly<Record<string, Instruction>> = {
  cmd: (config, rest) => {
    config.Cmd = commandOf(config, rest);
  },
  entrypoint: (config, rest) => {
    config.Entrypoint = commandOf(config, rest);
  },
  env: (config, rest) => {
    const added = keyValues(rest, 'ENV');
    const names = new Set(added.map(([name]) => name));
    const kept = (config.Env ?? []).filter((entry) => !names.has(entry.split('=')[0] ?? ''));
    config.Env = [...kept, ...added.map(([name, value]) => `${name}=${value}`)];
  },
  label: (config, rest) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(keyValues(rest, 'LABEL')) };
  },
  expose: (config, rest) => {
    const ports = words(rest).flatMap(exposedPorts);
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  },
  volume: (config, rest) => {
    const paths = jsonList(rest) ?? words(rest);
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  user: (config, rest) => {
    config.User = rest;
  },
  workdir: (config, rest) => {
    const [path = ''] = words(rest);
    config.WorkingDir = path.startsWith('/') ? path : `${config.WorkingDir ?? ''}/${path}`;
  },
  stopsignal: (config, rest) => {
    config.StopSignal = rest;
  },
  onbuild: (config, rest) => {
    config.OnBuild = [...(config.OnBuild ?? []), rest];
  },
  shell: (config, rest) => {
    const list = jsonList(rest);
    if (list === undefined) throw badRequest('SHELL requires the arguments to be in JSON form');
    config.Shell = list;
  },
  healthcheck: (config, rest) => {
    config.Healthcheck = healthcheckOf(rest);
  },
};

/** The JSON form, or a line for the shell. */
function commandOf(config: Config, rest: string): readonly string[] {
  return jsonList(rest) ?? [...(config.Shell ?? ['/bin/sh', '-c']), rest];
}

function healthcheckOf(rest: string): HealthConfig {
  const options: Mutable<HealthConfig> = {};
  let text = rest;
  for (let match = flagPattern.exec(text); match !== null; match = flagPattern.exec(text)) {
    const [whole, name = '', value = ''] = match;
    text = text.slice(whole.length);
    const field = healthFields[name];
    if (field === undefined) throw badRequest(`unknown flag: --${name}`);
    const number = field === 'Retries' ? Number(value) : (findDurationMs(value) ?? Number.NaN) * 1_000_000;
    if (!Number.isInteger(number) || number < 0) throw badRequest(`invalid value of --${name}: ${value}`);
    options[field] = number;
  }
  const [, word = '', command = ''] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
  if (word.toUpperCase() === 'NONE') return { Test: ['NONE'] };
  if (word.toUpperCase() !== 'CMD' || command === '') throw badRequest('HEALTHCHECK requires CMD or NONE');
  const list = jsonList(command);
  return { Test: list === undefined ? ['CMD-SHELL', command] : ['CMD', ...list], ...options };
}

const flagPattern = /^--([a-z-]+)=(\S+)\s*/;
const healthFields: Readonly<Record<string, 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval' | 'Retries'>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
  retries: 'Retries',
};

/** `80`, `80/udp`, `8000-8002/tcp`. */
function exposedPorts(text: string): string[] {
  const [, first = '', last, protocol = 'tcp'] = /^([0-9]+)(?:-([0-9]+))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last ?? first)];
  if (first === '' || from < 1 || to > 65_535 || to < from) throw badRequest(`invalid containerPort: ${text}`);
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol.toLowerCase()}`);
}

/** `a=b c="d e"`, or the old form `NAME rest of the line`. */
function keyValues(rest: string, instruction: string): [string, string][] {
  const list = words(rest);
  if (!(list[0] ?? '').includes('=')) {
    const [, name = '', value = ''] = /^(\S+)\s+(.*)$/s.exec(rest) ?? [];
    if (name === '') throw badRequest(`${instruction} must have two arguments`);
    return [[name, value]];
  }
  return list.map((word) => {
    const at = word.indexOf('=');
    if (at < 1) throw badRequest(`Syntax error - can't find = in "${word}". Must be of the form: name=value`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** Words by the rules of quoting in a Dockerfile. */
function words(text: string): string[] {
  const result: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] as string;
    if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) result.push(word);
      word = undefined;
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) quote = '';
    else if (char === '\\' && quote !== "'" && at + 1 < text.length) {
      at += 1;
      word = (word ?? '') + text[at];
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) result.push(word);
  return result;
}

function jsonList(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}
