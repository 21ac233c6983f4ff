/** The SDK's example plugins, each started in a host as an author would start it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { HostProcess } from './process.ts';

export type ExampleName = 'network' | 'ipam' | 'volume' | 'log' | 'broken-volume';

const checkout = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export interface ExamplePlugin {
  /** The name for users: `example-volume`. */
  readonly name: string;
  /** Path of its socket inside the host. */
  readonly socket: string;
  readonly process: HostProcess;
}

/** Started and listening in /run/docker/plugins of the host. */
export async function startExample(host: Host, example: ExampleName): Promise<ExamplePlugin> {
  const name = example.startsWith('broken-') ? example : `example-${example}`;
  const socket = `/run/docker/plugins/${name}.sock`;
  const script = checkout(`plugins/sdk/examples/${example}.ts`);
  const state = join(host.dir, example);
  const started = host.start(checkout('bin/node'), [script, '/run/docker/plugins', state]);
  await eventually(`${name} listens`, async () => {
    if (!started.running()) throw new Error(`${name} ended: ${started.output()}`);
    return (await host.run('test', ['-S', socket])).stdout === '';
  });
  return { name, socket, process: started };
}

/** The conformance command in the host: its exit code and what it printed. */
export async function runContract(host: Host, args: readonly string[]): Promise<{ code: number; output: string }> {
  const command = [checkout('bin/node'), checkout('plugins/sdk/contract/main.ts'), ...args].join(' ');
  const text = await host.sh(`code=0; ${command} 2>&1 || code=$?; echo "exit $code"`, { timeoutMs: 120_000 });
  const code = Number(/exit (\d+)$/.exec(text)?.[1] ?? -1);
  return { code, output: text };
}
