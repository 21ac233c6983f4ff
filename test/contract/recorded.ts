/** The recorded traffic of real engines in test/captures: one exchange or FIFO entry a line. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface RecordedCall {
  readonly file: string;
  readonly line: number;
  /** The name that the plugin was called by. */
  readonly plugin: string;
  /** The command that ran at that time, or in brackets what was done to the engine. */
  readonly during: string;
  /** `Subsystem.Method`. */
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined: the request had no body. */
  readonly request: unknown;
  readonly status: number | 'dropped';
  /** The reply's body as text. */
  readonly reply: string;
  /** A note about a stream that was not recorded. */
  readonly isStream: boolean;
}

export interface RecordedEntry {
  readonly file: string;
  readonly rawHex: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

const folder = fileURLToPath(new URL('../captures', import.meta.url));

interface Line {
  readonly plugin?: string;
  readonly during?: string;
  readonly path?: string;
  readonly event?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly request?: unknown;
  readonly response?: unknown;
  readonly status?: number | 'dropped';
  readonly raw_hex?: string;
  readonly entry?: Readonly<Record<string, unknown>>;
}

function readLines(): { file: string; line: number; value: Line }[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.jsonl'))
    .flatMap((file) =>
      readFileSync(`${folder}/${file}`, 'utf8')
        .split('\n')
        .filter((text) => text !== '')
        .map((text, index) => ({ file, line: index + 1, value: JSON.parse(text) as Line })),
    );
}

export function recordedCalls(): RecordedCall[] {
  return readLines()
    .filter(({ value }) => value.path !== undefined)
    .map(({ file, line, value }) => ({
      file,
      line,
      plugin: value.plugin ?? '',
      during: value.during ?? '',
      method: value.path?.slice(1) ?? '',
      headers: value.headers ?? {},
      request: value.request ?? undefined,
      status: value.status ?? 200,
      reply: typeof value.response === 'string' ? value.response : JSON.stringify(value.response),
      isStream: typeof value.response === 'object' && value.response !== null && '_stream' in value.response,
    }));
}

/** FIFO entries whose bytes were kept. */
export function recordedEntries(): RecordedEntry[] {
  return readLines().flatMap(({ file, value }) =>
    value.raw_hex === undefined || value.entry === undefined
      ? []
      : [{ file, rawHex: value.raw_hex, entry: value.entry }],
  );
}

/** The same meaning in one form: null, missing and empty alike, times in nanoseconds, key order and defaults left out. */
export function meaning(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(meaning);
    return items.length > 0 ? items : undefined;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .map(([key, inner]): [string, unknown] => [key, meaning(inner)])
      .filter(([key, inner]) => inner !== undefined && !(key === 'com.docker.network.enable_ipv4' && inner === true))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return entries.length > 0 ? Object.fromEntries(entries) : undefined;
  }
  if (value === null || value === '' || value === false) return undefined;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z$/.test(value)) {
    const [seconds, fraction = ''] = value.slice(0, -1).split('.');
    return `${seconds}.${fraction.padEnd(9, '0')}Z`;
  }
  return value;
}
