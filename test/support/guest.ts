/**
 * A guest kernel: User-Mode Linux, an ordinary program, on this machine's own root file system read-only. It has what the
 * kernel here may lack: ipvlan, 8021q, dummy, NFS client and server, netem, ESP, and what belongs to containers besides.
 * It runs in a host of its own, so it ends with the test. Up in about 3 s; /tmp and /run are empty, /etc is writable, and
 * `test/support` works inside as outside.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureUmlPreload } from '../../lab/setup/uml.ts';
import { CommandError } from '../../plugins/linux/command.ts';
import { createHost } from './host.ts';
import { missing, type Requirement } from './requires.ts';

export interface GuestOptions {
  /** It only bounds a hang. Default 280 s. */
  readonly timeoutMs?: number;
  /** Default 1536. */
  readonly memoryMb?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface GuestResult {
  readonly code: number;
  /** Standard output and standard error, mixed. */
  readonly output: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const init = fileURLToPath(new URL('./guest-init.sh', import.meta.url));

/** Runs a bash script as root in a fresh guest. Throws when the guest itself fails; the script's own exit code is returned. */
export async function inGuest(script: string, options: GuestOptions = {}): Promise<GuestResult> {
  const host = await createHost({ name: 'guest' });
  try {
    const folder = join(host.dir, 'guest');
    mkdirSync(folder);
    const exports = Object.entries(options.env ?? {}).map(([name, value]) => `export ${name}=${quote(value)}\n`);
    writeFileSync(join(folder, 'script'), `${exports.join('')}${script}\n`);
    writeFileSync(join(folder, 'init'), `#!/bin/bash\n. ${quote(init)}\n`, { mode: 0o755 });
    const kernel = [
      `mem=${options.memoryMb ?? 1536}M`,
      'root=/dev/root',
      'rootfstype=hostfs',
      'rootflags=/',
      'ro',
      'quiet',
    ];
    const console = [
      'con=null',
      'con0=null,fd:1',
      `init=${join(folder, 'init')}`,
      `cleat=${folder}`,
      `checkout=${root}`,
    ];
    const running = host.run('linux.uml', [...kernel, ...console], {
      timeoutMs: options.timeoutMs ?? 280_000,
      input: '',
      env: { HOME: host.dir, TMPDIR: '/dev/shm', LD_PRELOAD: ensureUmlPreload() },
    });
    // At its halt a signal may end it, when all has been said; what counts is what the script left.
    const { stdout } = await running.catch((error: unknown) => {
      if (error instanceof CommandError && error.reason === 'exit') return error;
      throw error;
    });
    const code = readOr(join(folder, 'exit'), '').trim();
    const output = readOr(join(folder, 'output'), '');
    if (code === '')
      throw new Error(`the guest kernel ended before its script did:\n${stdout.slice(-2000)}\n${output}`);
    return { code: Number(code), output };
  } finally {
    await host.close();
  }
}

/**
 * For the first line of a test file: returns when this machine has what the file needs; otherwise runs the same file in a
 * guest, prints what it printed and ends with its exit code; skips aloud when neither is possible.
 */
export async function requiresOrGuest(file: string, ...needs: readonly Requirement[]): Promise<void> {
  const reason = missing(...needs);
  if (reason === undefined) return;
  const noGuest = process.env['CLEAT_GUEST'] === undefined ? missing('root', 'uml') : 'this is the guest';
  if (noGuest !== undefined) {
    process.stdout.write(`# skip: ${reason}; no guest kernel either: ${noGuest}\n`);
    process.exit(0);
  }
  process.stdout.write(`# in a guest kernel, because this machine ${reason}\n`);
  const { code, output } = await inGuest(`cd ${quote(root)}; exec bin/node ${quote(file)}`);
  process.stdout.write(output);
  process.exit(code);
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
