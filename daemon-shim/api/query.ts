/** Query parameters as the Engine API writes them. */
import type { FastifyRequest } from 'fastify';
import { badRequest } from './api-error.ts';

export type Query = Readonly<Record<string, string | undefined>>;

/** The last value of each parameter. */
export function queryOf(request: FastifyRequest): Query {
  const query = request.query as Record<string, string | string[]>;
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value.at(-1) : value]),
  );
}

/** False for nothing, `0`, `no`, `false` and `none`, as Docker's own reading is. */
export function isTrue(value: string | null | undefined): boolean {
  return !['', '0', 'no', 'false', 'none'].includes((value ?? '').trim().toLowerCase());
}

/** Undefined when missing. Throws 400 for what is no whole number. */
export function parseInteger(value: string | undefined, name: string): number | undefined {
  if (value === undefined || value === '') return undefined;
  if (!/^-?[0-9]+$/.test(value)) throw badRequest(`invalid value for ${name}: "${value}" is no whole number`);
  return Number(value);
}

/** Every value of a parameter that may come several times. */
export function allOf(request: FastifyRequest, name: string): string[] {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return (Array.isArray(value) ? value : [value ?? '']).filter((item) => item !== '');
}
