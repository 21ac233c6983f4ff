/** The stock docker command, pointed at one engine. */
import { CommandError, type CommandResult, runCommand } from '../../plugins/linux/command.ts';

export interface Docker {
  /** Which engine, which version, and whether it is ours. */
  readonly description: string;
  /** The value of DOCKER_HOST that reaches it; undefined for the default. */
  readonly host: string | undefined;
  run(...args: readonly string[]): Promise<string>;
  /** The result also of a command that fails. */
  try(...args: readonly string[]): Promise<CommandResult & { readonly ok: boolean }>;
}

export function dockerAt(host: string | undefined, description: string): Docker {
  const options = { timeoutMs: 120_000, env: host === undefined ? {} : { DOCKER_HOST: host } };
  return {
    description,
    host,
    async run(...args) {
      return (await runCommand('docker', args, options)).stdout.trim();
    },
    async try(...args) {
      try {
        return { ok: true, ...(await runCommand('docker', args, options)) };
      } catch (error) {
        if (error instanceof CommandError) return { ok: false, stdout: error.stdout, stderr: error.stderr };
        throw error;
      }
    },
  };
}

/** The version of the engine that answers there; undefined when none does. */
export async function engineVersion(host: string | undefined): Promise<string | undefined> {
  const { ok, stdout } = await dockerAt(host, '').try('version', '--format', '{{.Server.Version}}');
  return ok ? stdout.trim() : undefined;
}
