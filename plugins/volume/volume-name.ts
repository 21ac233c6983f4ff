/** Volume names. The engine checks them for its built-in driver only, so a plugin meets `../../evil`, NUL and 300 characters. */
import { PluginError } from '../sdk/errors.ts';

declare const volumeNameBrand: unique symbol;
/** A checked name: safe as one component of a path. */
export type VolumeName = string & { readonly [volumeNameBrand]: true };

/** The engine's own pattern for its local driver (moby `volume/names`), which starts with a letter or digit: no dot files. */
const pattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** NAME_MAX of <linux/limits.h>; the pattern allows one byte per character only. */
const maxLength = 255;

export function parseVolumeName(text: string): VolumeName {
  if (isVolumeName(text)) return text;
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  const reason =
    text.length > maxLength ? `has ${text.length} characters, and ${maxLength} are allowed` : 'is not allowed';
  throw new PluginError('VOL_NAME', `volume name ${shown} ${reason}`, {
    hint: 'use two or more of a-z A-Z 0-9 _ . - and begin with a letter or digit',
  });
}

export function isVolumeName(text: string): text is VolumeName {
  return text.length <= maxLength && pattern.test(text);
}

/** What the engine calls a volume that the user did not name: 64 hexadecimal digits. */
export function isAnonymousName(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}
