/** The `until` filter: a time, or how long ago. */
import { findDurationMs } from '../../plugins/sdk/index.ts';
import { badRequest } from './api-error.ts';

/** Milliseconds since 1970, from seconds since 1970, RFC 3339 or a duration such as `24h`. */
export function parseUntil(text: string): number {
  if (/^[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text) * 1000;
  const durationMs = findDurationMs(text);
  if (durationMs !== undefined) return Date.now() - durationMs;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw badRequest(`failed to parse value as time or duration: "${text}"`);
  return at;
}
