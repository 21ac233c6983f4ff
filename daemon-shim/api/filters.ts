/** The `filters` parameter: `{"name": ["a"]}` of today's clients, `{"name": {"a": true}}` of older ones. */
import { badRequest } from './api-error.ts';

export type Filters = ReadonlyMap<string, readonly string[]>;

/** Throws 400 for what is no filter object, and for a name that the list does not know. */
export function parseFilters(text: string | undefined, known: readonly string[]): Filters {
  const filters = new Map<string, readonly string[]>();
  if (text === undefined || text === '') return filters;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest(`invalid filter: ${text}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest('invalid filter: not an object');
  for (const [name, given] of Object.entries(value)) {
    if (!known.includes(name)) throw badRequest(`invalid filter '${name}'`);
    filters.set(name, filterValues(name, given));
  }
  return filters;
}

function filterValues(name: string, given: unknown): string[] {
  if (Array.isArray(given) && given.every((item) => typeof item === 'string')) return given;
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    return Object.entries(given)
      .filter(([, on]) => on === true)
      .map(([value]) => value);
  }
  throw badRequest(`invalid filter '${name}': not a list of strings`);
}

/** Of a filter that is on or off. Throws Docker's 400. */
export function booleanFilter(name: string, value: string): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw badRequest(`invalid filter '${name}=[${value}]'`);
}

/** `label=a` and `label=a=b` filters: all must hold. */
export function matchesLabels(
  wanted: readonly string[] | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (wanted ?? []).every((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? Object.hasOwn(labels, entry) : labels[entry.slice(0, at)] === entry.slice(at + 1);
  });
}
