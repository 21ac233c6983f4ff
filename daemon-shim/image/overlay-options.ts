/**
 * The data of an overlayfs mount. mount(2) takes one page of it, 4096 bytes, and a stack may have over a hundred layers: each is named through
 * a descriptor of the folder that holds them all (`/proc/self/fd/9/a3f`), and so are the upper and the work folder.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { badRequest } from '../api/api-error.ts';

const maxMountData = 4095;

/**
 * Kernels may be built to keep renames and changes of attributes as references to lower layers; then the upper folder alone
 * is no layer, and `diff` and `commit` would read it wrongly.
 */
const plainLayers = ['redirect_dir', 'metacopy']
  .filter((name) => isOn(`/sys/module/overlay/parameters/${name}`))
  .map((name) => `,${name}=off`)
  .join('');

export interface OverlayStack {
  /** The folder of all layers. */
  readonly folder: string;
  /** Names below it, the topmost first. */
  readonly layers: readonly string[];
  /** The folder that holds `upper` and `work`; absent: a read-only view of the layers. */
  readonly writable?: string;
}

/** Calls `mount` with the data while the descriptors are open; synchronous, as mount(2) is. */
export function withOverlayOptions(stack: OverlayStack, mount: (data: string) => void): void {
  const open: number[] = [];
  const through = (folder: string): string => {
    const fd = openSync(folder, 'r');
    open.push(fd);
    return `/proc/self/fd/${fd}`;
  };
  try {
    const base = through(stack.folder);
    const lower = stack.layers.map((name) => `${base}/${name}`).join(':');
    const own = stack.writable === undefined ? undefined : through(stack.writable);
    const data = `lowerdir=${lower}${own === undefined ? '' : `,upperdir=${own}/upper,workdir=${own}/work${plainLayers}`}`;
    if (data.length > maxMountData) throw badRequest(`max depth exceeded: ${stack.layers.length} layers`);
    mount(data);
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

function isOn(parameter: string): boolean {
  try {
    return readFileSync(parameter, 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}
