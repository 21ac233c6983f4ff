/**
 * The text after `o=`: as Docker's local driver takes it, a list with commas in which a value may be quoted. Pure.
 */

export interface MountOption {
  readonly name: string;
  /** undefined for a bare word. */
  readonly value: string | undefined;
}

export function parseMountOptions(text: string): readonly MountOption[] {
  return (text.match(/(?:[^,"]|"[^"]*"?)+/g) ?? []).map((part) => {
    const split = part.indexOf('=');
    return split < 0
      ? { name: part.trim(), value: undefined }
      : { name: part.slice(0, split).trim(), value: part.slice(split + 1) };
  });
}

export function formatMountOptions(options: readonly MountOption[]): string {
  return options.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`)).join(',');
}

export function findMountOption(options: readonly MountOption[], name: string): string | undefined {
  return options.findLast((option) => option.name === name)?.value;
}

export function hasMountFlag(options: readonly MountOption[], name: string): boolean {
  return options.some((option) => option.name === name);
}

export function withoutMountOptions(
  options: readonly MountOption[],
  ...names: readonly string[]
): readonly MountOption[] {
  return options.filter(({ name }) => !names.includes(name));
}
