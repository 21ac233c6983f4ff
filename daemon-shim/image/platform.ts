/** `--platform` of verbs that read images: there is one platform for each image here, and another one is not to be had. */
import { badRequest, notFound } from '../api/api-error.ts';
import { type ImageRecord, readConfiguration } from './image-store.ts';
import { formatReference } from './reference.ts';

interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** `text` is the API's JSON, or `linux/arm64`, or empty. Throws Docker's 404 for an image of another platform. */
export function checkPlatform(image: ImageRecord, reference: string, text: string | undefined): void {
  const wanted = parsePlatform(text);
  if (wanted === undefined) return;
  const { os = 'linux', architecture = '', variant = '' } = readConfiguration(image);
  const differs =
    (wanted.os !== '' && wanted.os !== os) ||
    (wanted.architecture !== '' && wanted.architecture !== architecture) ||
    (wanted.variant !== '' && variant !== '' && wanted.variant !== variant);
  if (!differs) return;
  const shown = [wanted.os, wanted.architecture, wanted.variant].filter(Boolean).join('/');
  throw notFound(
    `image with reference ${formatReference(reference)} was found but does not provide the specified platform (${shown})`,
  );
}

function parsePlatform(text: string | undefined): Platform | undefined {
  if (text === undefined || text === '') return undefined;
  if (!text.startsWith('{')) {
    const [os = '', architecture = '', variant = ''] = text.split('/');
    return { os, architecture, variant };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest('failed to parse platform: not JSON');
  }
  const { os, architecture, variant } = (value ?? {}) as Record<string, unknown>;
  const field = (given: unknown) => (typeof given === 'string' ? given : '');
  return { os: field(os), architecture: field(architecture), variant: field(variant) };
}
