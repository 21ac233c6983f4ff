/** `docker version`: the server's part. */
import { statSync } from 'node:fs';
import { release } from 'node:os';
import { readVersion } from '../../plugins/sdk/version.ts';
import { apiVersion, minApiVersion } from '../api/version.ts';
import { architecture } from '../architecture.ts';
import type { Engine } from '../engine.ts';
import { runtimeVersion } from './runtime-version.ts';

export async function systemVersion(engine: Engine): Promise<object> {
  const runtime = await runtimeVersion(engine);
  const details = {
    ApiVersion: apiVersion,
    Arch: architecture(),
    BuildTime: buildTime(),
    Experimental: 'false',
    GitCommit: '',
    GoVersion: `none (Node ${process.versions.node})`,
    KernelVersion: release(),
    MinAPIVersion: minApiVersion,
    Os: 'linux',
  };
  return {
    Platform: { Name: 'cleat' },
    Components: [
      { Name: 'Engine', Version: readVersion(), Details: details },
      ...(runtime === undefined ? [] : [{ Name: runtime.name, Version: runtime.version, Details: { GitCommit: '' } }]),
    ],
    Version: readVersion(),
    ApiVersion: details.ApiVersion,
    MinAPIVersion: details.MinAPIVersion,
    GitCommit: details.GitCommit,
    GoVersion: details.GoVersion,
    Os: details.Os,
    Arch: details.Arch,
    KernelVersion: details.KernelVersion,
    BuildTime: details.BuildTime,
  };
}

/** When the package was put here. */
function buildTime(): string {
  const { mtime } = statSync(new URL('../../package.json', import.meta.url));
  return mtime.toISOString().replace(/Z$/, '000000+00:00');
}
