/** Certificates and keys by their paths: read for each connection, so that renewed ones are used, and watched while it stands. */
import { readFileSync, statSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly skipVerify: boolean;
}

/** Throws what reading throws. The least version is that of Docker's client configuration. */
export function readTlsFiles(files: TlsFiles): ConnectionOptions {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: !files.skipVerify,
    ...(files.ca !== undefined && { ca: readFileSync(files.ca) }),
    ...(files.cert !== undefined && { cert: readFileSync(files.cert) }),
    ...(files.key !== undefined && { key: readFileSync(files.key) }),
  };
}

/** Changes whenever one of the files does. */
export function tlsFilesVersion(files: TlsFiles): string {
  return [files.ca, files.cert, files.key]
    .map((path) => {
      const stat = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? '' : `${stat.ino}.${stat.mtimeMs}.${stat.size}`;
    })
    .join(' ');
}
