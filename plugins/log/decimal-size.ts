/** Sizes in powers of 1000, unlike most of Docker's: what its json-file calls 10m. go-units FromHumanSize */
import { custom, type Option, type Otherwise } from '../sdk/option-kinds.ts';

const expected = 'a size such as 500k, 10m or 1g (powers of 1000)';

/** A fraction and a blank before the unit are allowed. */
export function findDecimalSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d*)?|\.\d+) ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  const exponent = ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase());
  const bytes = Math.trunc(Number(number) * 1000 ** exponent);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

export function decimalSize(name: string): Option<number | undefined>;
export function decimalSize(name: string, presence: Otherwise<number>): Option<number>;
export function decimalSize(name: string, presence?: Otherwise<number>): Option<number | undefined> {
  return custom(name, { expected, find: findDecimalSize }, presence ?? {});
}

/** The same, and -1 for no limit. */
export function decimalLimit(name: string): Option<number | undefined> {
  return custom(name, {
    expected: `${expected}, or -1 for no limit`,
    find: (value: string) => (value === '-1' ? Number.POSITIVE_INFINITY : findDecimalSize(value)),
  });
}
