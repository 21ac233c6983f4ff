/** What the verbs of `cleat volume` share: finding a volume by its name, and holding it while a command works on it. */
import type { VolumeDetails, VolumeSummary } from '../../volume/control.ts';
import { callControl } from '../control.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import type { GlobalOptions } from '../global-options.ts';

export async function listVolumes(runDir: string): Promise<readonly VolumeSummary[]> {
  return await callControl<VolumeSummary[]>(runDir, 'volumed', 'GET', '/volumes');
}

/** `NAME`, or `DRIVER/NAME` where two drivers have a volume of that name. */
export async function findVolume(runDir: string, name: string): Promise<VolumeSummary> {
  const [driver, rest] = name.includes('/') ? name.split('/', 2) : [undefined, name];
  const found = (await listVolumes(runDir)).filter(
    (volume) => volume.name === rest && (driver ?? volume.driver) === volume.driver,
  );
  const [volume] = found;
  if (volume === undefined) throw new CommandFailure(`no volume is named "${name}"`, exitCodes.failed);
  if (found.length > 1) {
    const names = found.map((candidate) => `${candidate.driver}/${candidate.name}`).join(' and ');
    throw new CommandFailure(`several volumes are named "${name}": ${names}; use one of these`, exitCodes.usage);
  }
  return volume;
}

export async function volumeDetails(runDir: string, volume: VolumeSummary): Promise<VolumeDetails> {
  return await callControl<VolumeDetails>(runDir, 'volumed', 'GET', pathOf(volume));
}

export async function putVolume(
  runDir: string,
  volume: { driver: string; name: string },
  options: Readonly<Record<string, string>>,
): Promise<void> {
  await callControl(runDir, 'volumed', 'PUT', pathOf(volume), { options });
}

export async function removeVolume(runDir: string, volume: { driver: string; name: string }): Promise<void> {
  await callControl(runDir, 'volumed', 'DELETE', pathOf(volume));
}

/** Works on the mounted volume; the daemon lets it go even if this command is killed. */
export async function withVolume<T>(
  runDir: string,
  volume: { driver: string; name: string },
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const body = { pid: process.pid };
  const { path } = await callControl<{ path: string }>(runDir, 'volumed', 'POST', `${pathOf(volume)}/hold`, body);
  try {
    return await work(path);
  } finally {
    await callControl(runDir, 'volumed', 'POST', `${pathOf(volume)}/release`, body);
  }
}

/** `-o key=value`, several times. */
export function parseOptionPairs(pairs: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const split = pair.indexOf('=');
      return split < 0 ? [pair, ''] : [pair.slice(0, split), pair.slice(split + 1)];
    }),
  );
}

export interface VolumeOptions extends GlobalOptions {
  readonly volume: string;
}

function pathOf({ driver, name }: { driver: string; name: string }): string {
  return `/volumes/${encodeURIComponent(driver)}/${encodeURIComponent(name)}`;
}
