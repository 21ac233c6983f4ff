/** Fields of a JSON body, of the kind that they must have; missing and null are the default. Throws 400 naming the field. */
import { badRequest } from './api-error.ts';

export type Body = Readonly<Record<string, unknown>>;

export function asObject(value: unknown, what: string): Body {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Body;
  throw badRequest(`invalid JSON: ${what} must be an object`);
}

export function textField(body: Body, name: string): string {
  const value = body[name] ?? '';
  if (typeof value !== 'string') throw badRequest(`invalid JSON: field ${name} must be a string`);
  return value;
}

export function flagField(body: Body, name: string, otherwise: boolean): boolean {
  const value = body[name] ?? otherwise;
  if (typeof value !== 'boolean') throw badRequest(`invalid JSON: field ${name} must be a boolean`);
  return value;
}

export function textMapField(body: Body, name: string): Record<string, string> {
  const value = asObject(body[name] ?? {}, name);
  if (!Object.values(value).every((item) => typeof item === 'string'))
    throw badRequest(`invalid JSON: field ${name} must be an object of strings`);
  return value as Record<string, string>;
}
