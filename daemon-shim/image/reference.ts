/** Image references: what users type, and the one form in which they are kept (`busybox:latest`, `host:5000/a/b:1`). */
import { badRequest } from '../api/api-error.ts';

const namePart = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const hostPart = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const host = `(?:${hostPart}(?:\\.${hostPart})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const maxNameLength = 255;
const referencePattern = new RegExp(
  `^(?<name>(?:${host}/)?${namePart}(?:/${namePart})*)(?::(?<tag>[\\w][\\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$`,
);

export interface Reference {
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Throws Docker's 400 for what is no reference. `docker.io/library/x` and `x` are the same. */
export function parseReference(text: string): Reference {
  const groups = referencePattern.exec(text)?.groups;
  if (groups === undefined) {
    if (/[A-Z]/.test(text.split(':')[0] ?? ''))
      throw badRequest(`invalid reference format: repository name (${text}) must be lowercase`);
    throw badRequest('invalid reference format');
  }
  if ((groups['name'] ?? '').length > maxNameLength) {
    throw badRequest('invalid reference format: repository name must not be more than 255 characters');
  }
  const name = (groups['name'] ?? '').replace(/^(?:index\.)?docker\.io\//, '').replace(/^library\//, '');
  return {
    name,
    ...(groups['tag'] ? { tag: groups['tag'] } : {}),
    ...(groups['digest'] ? { digest: groups['digest'] } : {}),
  };
}

/** `name:tag` with `latest` where none was given, or `name@digest`. */
export function normalizeReference(text: string): string {
  const { name, tag, digest } = parseReference(text);
  return digest === undefined ? `${name}:${tag ?? 'latest'}` : `${name}@${digest}`;
}

/** As Docker's messages show what was asked for: with the tag, unless it is an id. */
export function formatReference(text: string): string {
  try {
    return normalizeReference(text);
  } catch {
    return text;
  }
}

/** The `reference` filter: a shell pattern for the name, with or without a tag; `*` does not cross a slash. */
export function matchesReference(tag: string, pattern: string): boolean {
  const name = tag.slice(0, tag.lastIndexOf(':'));
  const shell = pattern.replace(/^(?:docker\.io\/)?(?:library\/)?/, '');
  const source = shell
    .replaceAll(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  try {
    const expression = new RegExp(`^${source}$`);
    return expression.test(tag) || expression.test(name);
  } catch {
    throw badRequest(`invalid filter 'reference=${pattern}': no pattern`);
  }
}
