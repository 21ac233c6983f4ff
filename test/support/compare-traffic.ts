/** Two runs of the same scenario side by side: names for what is random in each, and the calls in one form. */
import { meaning } from '../contract/recorded.ts';
import type { HeardCall } from './recording-plugin.ts';

export interface Shown {
  readonly plugin: string;
  readonly method: string;
  /** In the form that `meaning` gives, with names for ids. */
  readonly request: unknown;
}

/** Gives each id of one run a name by the order in which it came up: `endpoint 2`. */
export class IdNames {
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** `shown`: in place of the kind. */
  name(kind: string, id: string, shown: string = kind): string {
    const known = this.#names.get(`${kind} ${id}`);
    if (known !== undefined) return known;
    const count = (this.#counts.get(shown) ?? 0) + 1;
    this.#counts.set(shown, count);
    this.#names.set(`${kind} ${id}`, `${shown} ${count}`);
    return `${shown} ${count}`;
  }
}

/** Fields whose values are random, or the place's own. */
const idFields: Readonly<Record<string, string>> = {
  NetworkID: 'network',
  EndpointID: 'endpoint',
  SandboxKey: 'sandbox',
  File: 'file',
  ID: 'mount',
  ContainerID: 'container',
  ContainerImageID: 'image',
  ContainerCreated: 'time',
  'com.docker.network.endpoint.macaddress': 'mac',
};

export function show(call: HeardCall, names: IdNames): Shown {
  nameByContainer(call, names);
  return { plugin: call.plugin, method: call.method, request: meaning(rename(call.request, names)) };
}

/** Sessions of containers that start at once come in any order: each container has numbers of its own. */
function nameByContainer({ method, request }: HeardCall, names: IdNames): void {
  if (method !== 'LogDriver.StartLogging') return;
  const { File: file, Info: info } = request as { readonly File: string; readonly Info: { ContainerName?: string } };
  names.name('file', file, `file of ${info.ContainerName ?? ''}`);
}

function rename(value: unknown, names: IdNames, field = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => rename(item, names));
    // Lists that engines make out of hash tables.
    return /exposedports|portmap|^IPv[46]Data$/.test(field)
      ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
      : items;
  }
  if (typeof value === 'object' && value !== null) {
    // In one order: names are given as the ids come.
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(entries.map(([key, inner]) => [key, rename(inner, names, key)]));
  }
  if (typeof value !== 'string' || value === '') return value;
  const kind = idFields[field];
  if (kind !== undefined && !/^02:42:/.test(value)) return names.name(kind, value);
  if (field === 'Name' && /^[0-9a-f]{64}$/.test(value)) return names.name('anonymous volume', value);
  // Times that the command gave as "so long ago".
  if ((field === 'Since' || field === 'Until') && !/^0001|-01-01T00:00:00(\.0+)?Z$/.test(value)) return 'a time';
  // A MAC that the engine made up.
  if (field === 'MacAddress' && !/^02:42:/.test(value)) return names.name('mac', value);
  // Subnets that were chosen, not asked for.
  return value.replace(
    /^(172\.(1[6-9]|2\d|3[01])\.\d+\.0\/16|fd[0-9a-f]{2}:[0-9a-f]+:[0-9a-f]+:[0-9a-f:]+\/64)$/,
    (subnet) => names.name('subnet', subnet),
  );
}

/** What a call is about, where several things go on at once. */
export function objectOf({ plugin, request }: Shown): string {
  const fields = (request ?? {}) as Readonly<Record<string, unknown>>;
  const about = ['EndpointID', 'File', 'ID', 'Address', 'PoolID', 'Pool', 'Name', 'NetworkID'].find(
    (field) => fields[field] !== undefined,
  );
  return about === undefined ? plugin : `${about} ${String(fields[about])}`;
}

/** Without the names that depend on the order of things that happen at once. */
export function withoutNames(call: Shown): string {
  return JSON.stringify(call).replaceAll(
    /"(endpoint|sandbox|file(?: of [^"]*)?|mount|container|mac|time) \d+"/g,
    '"$1"',
  );
}
