/**
 * The root file system of the managed plugin, gathered on this machine: this Node, this cleat with the packages it depends
 * on, the packet filter's library, the programs that the daemon runs, and the shared libraries of all of them. It runs on hosts
 * of the same kind of processor, whatever they have installed.
 *
 *     usr/bin/node      usr/lib/cleat/      plugins/ node_modules/ package.json
 *     usr/sbin/iptables …                   and libraries at the paths that they have here
 */
import { cpSync, existsSync, globSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../linux/command.ts';
import { CommandFailure } from '../exit.ts';
import { packageFolders } from './packages.ts';

export interface Rootfs {
  /** The daemon's first file, as the path is inside. */
  readonly main: string;
  /** WireGuard as a process is in it, for kernels without. */
  readonly hasWireguard: boolean;
}

const home = '/usr/lib/cleat';
const timeoutMs = 30_000;
/** The sources of a checkout, or the built JavaScript of the package. */
const code = fileURLToPath(new URL('../../..', import.meta.url));
/** What the network daemon is made of. */
const parts = ['network', 'sdk', 'linux', 'store'];
const folders = ['proc', 'sys', 'dev', 'tmp', 'run', 'etc/cleat', 'var/lib/cleat', 'usr/bin', 'usr/sbin'];
const wireguard = 'wireguard-go';

/** Fills the empty folder. Throws CommandFailure. */
export async function makeRootfs(root: string): Promise<Rootfs> {
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  symlinkSync('../run', join(root, 'var/run'));
  const node = realpathSync(process.execPath);
  cpSync(node, join(root, 'usr/bin/node'));
  copyCode(root);
  // Names of protocols in rules.
  if (existsSync('/etc/protocols')) cpSync('/etc/protocols', join(root, 'etc/protocols'));
  const libraries = [await findLibrary('libnftables.so.1'), ...globSync('/usr/lib*/{,*/}xtables/*.so')];
  for (const library of libraries) copyAt(root, library);
  const programs = copyPrograms(root, [...iptablesNames(), wireguard]);
  await copyNeeded(root, [node, ...programs, ...libraries]);
  return {
    main: join(home, 'plugins/network', `managed${extname(import.meta.url)}`),
    hasWireguard: programs.some((program) => basename(program) === wireguard),
  };
}

function copyCode(root: string): void {
  const inside = join(root, home);
  for (const part of parts)
    cpSync(join(code, 'plugins', part), join(inside, 'plugins', part), {
      recursive: true,
      filter: (path) => !/\.(test|d)\.ts$|\.md$/.test(path),
    });
  cpSync(join(code, 'package.json'), join(inside, 'package.json'));
  for (const [name, folder] of packageFolders(code))
    cpSync(folder, join(inside, 'node_modules', name), { recursive: true, dereference: true });
}

/** Of both back ends: which of them a host uses is found out there. */
function iptablesNames(): string[] {
  return ['iptables', 'ip6tables'].flatMap((base) =>
    ['', '-nft', '-legacy'].flatMap((backend) => ['', '-save', '-restore'].map((verb) => `${base}${backend}${verb}`)),
  );
}

/** Those that there are. Several names may be one program, which sees by its name what to do. Returns the programs. */
function copyPrograms(root: string, names: readonly string[]): string[] {
  const programs = new Set<string>();
  for (const name of names) {
    const path = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((folder) => join(folder, name)).find(existsSync);
    if (path === undefined) continue;
    const program = realpathSync(path);
    if (!programs.has(program)) cpSync(program, join(root, 'usr/sbin', basename(program)));
    programs.add(program);
    if (name !== basename(program)) symlinkSync(basename(program), join(root, 'usr/sbin', name));
  }
  return [...programs];
}

async function findLibrary(soname: string): Promise<string> {
  const { stdout } = await runCommand('ldconfig', ['-p'], { timeoutMs });
  const path = stdout
    .split('\n')
    .find((line) => line.trim().startsWith(`${soname} `))
    ?.split(' => ')[1];
  if (path !== undefined) return path;
  throw new CommandFailure(`${soname} is not on this machine; apt-get install libnftables1`);
}

/** Everything that the dynamic linker would load for the files, itself among it. */
async function copyNeeded(root: string, files: readonly string[]): Promise<void> {
  const { stdout } = await runCommand('ldd', files, { timeoutMs });
  const paths = stdout.matchAll(/(?:=> |^\t)(\/\S+) \(0x/gm);
  for (const path of new Set(Array.from(paths, ([, path = '']) => path))) copyAt(root, path);
}

/** The file itself, under the name that it is looked for by. */
function copyAt(root: string, path: string): void {
  const inside = join(root, path);
  mkdirSync(dirname(inside), { recursive: true });
  cpSync(realpathSync(path), inside);
}
