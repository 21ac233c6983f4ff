/**
 * What has to be mounted for a volume of cleat-local, in order. Pure.
 *
 *     folder                      nothing: the engine binds the folder itself
 *     folder, ro                  root ◄─ bind, ro
 *     image                       device ◄─ loop mount; its folder _data is handed out
 *     device=/folder              root ◄─ bind
 *     type=, device=              root ◄─ mount
 *     any of them with subdir=    root ◄─ bind of the sub-folder of what is above, which moves to `device`
 */
import type { MountSpec } from '../../linux/mount.ts';
import { formatMountOptions, type MountOption, withoutMountOptions } from '../mount-options.ts';
import type { LocalConfig } from './options.ts';

export interface LocalPaths {
  readonly data: string;
  readonly image: string;
  readonly root: string;
  readonly device: string;
}

export interface LocalPlan {
  /** What is mounted first; absent when a folder of ours needs none. */
  readonly mount?: MountSpec;
  /** Then a folder of it (or of our own folder), bound at `root`. */
  readonly bind?: { readonly from: string; readonly inside: string; readonly options: string };
  /** What is handed out. */
  readonly path: string;
}

/** Inside an image: hides lost+found, so that the engine sees an empty volume and copies the image's files into it. */
export const imageFolder = '_data';

export function planLocal({ place, readOnly, subdir }: LocalConfig, isImage: boolean, paths: LocalPaths): LocalPlan {
  const ro = readOnly ? 'ro' : '';
  const inside = subdir?.join('/');
  const bindOf = (from: string, folder: string): LocalPlan => ({
    bind: { from, inside: folder, options: ro },
    path: paths.root,
  });
  if (place.kind === 'folder' || (place.kind === 'limited' && !isImage)) {
    return inside === undefined && !readOnly ? { path: paths.data } : bindOf(paths.data, inside ?? '');
  }
  if (place.kind === 'limited') {
    const mount = { source: paths.image, target: paths.device, options: 'loop,discard' };
    const folder = inside === undefined ? imageFolder : `${imageFolder}/${inside}`;
    return inside === undefined && !readOnly
      ? { mount, path: `${paths.device}/${imageFolder}` }
      : { mount, ...bindOf(paths.device, folder) };
  }
  const target = inside === undefined ? paths.root : paths.device;
  // A sub-folder has to be made first: read-only comes with the bind.
  const options = inside === undefined ? withReadOnly(place.options, readOnly) : place.options;
  const mount: MountSpec =
    place.kind === 'bind'
      ? {
          source: place.device,
          target,
          options: [place.recursive ? 'rbind' : 'bind', formatMountOptions(options)].filter(Boolean).join(','),
        }
      : { source: place.device, target, fsType: place.fsType, options: formatMountOptions(options) };
  return inside === undefined ? { mount, path: target } : { mount, ...bindOf(target, inside) };
}

function withReadOnly(options: readonly MountOption[], readOnly: boolean): readonly MountOption[] {
  return readOnly ? [...withoutMountOptions(options, 'rw', 'ro'), { name: 'ro', value: undefined }] : options;
}
