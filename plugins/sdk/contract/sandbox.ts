/**
 * The engine's part of an attachment: a network namespace, the link moved into it, its name, addresses and route. Done with
 * the `ip` command, so that authors can repeat by hand what failed here.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { EndpointInterface, JoinReply } from '../network-plugin.ts';
import { Nonconformity } from './report.ts';

const LIMIT_MS = 20_000;

async function ip(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('ip', [...args], {
    timeout: LIMIT_MS,
    env: { ...process.env, LC_ALL: 'C' },
  });
  return stdout;
}

/** Why links cannot be moved here; undefined when they can. */
export async function whyNoSandbox(): Promise<string | undefined> {
  try {
    const probe = await Sandbox.create();
    await probe.destroy();
    return undefined;
  } catch (error) {
    return `no network namespace can be made here: ${(error as Error).message.trim()}`;
  }
}

/** The names of all links in the namespace of this process. */
export async function linkNames(): Promise<Set<string>> {
  const links = JSON.parse((await ip('-json', 'link', 'show')) || '[]') as { ifname: string }[];
  return new Set(links.map((link) => link.ifname));
}

export class Sandbox {
  readonly #name: string;
  #sourceName: string | undefined;

  private constructor(name: string) {
    this.#name = name;
  }

  static async create(): Promise<Sandbox> {
    const name = `cleat-contract-${randomBytes(6).toString('hex')}`;
    await ip('netns', 'add', name);
    return new Sandbox(name);
  }

  get key(): string {
    return `/run/netns/${this.#name}`;
  }

  /** Moves the link of a Join reply in and makes it usable; a link that is missing is the driver's failure. */
  async attach(join: JoinReply, addresses: EndpointInterface): Promise<void> {
    const { srcName, dstPrefix } = join.interfaceName;
    const names = await linkNames();
    if (!names.has(srcName)) {
      throw new Nonconformity(`Join named the link "${srcName}", which does not exist in the engine's namespace`);
    }
    const device = `${dstPrefix || 'eth'}0`;
    await ip('link', 'set', srcName, 'netns', this.#name);
    this.#sourceName = srcName;
    await this.#inside('link', 'set', srcName, 'name', device);
    if (addresses.macAddress) await this.#inside('link', 'set', device, 'address', addresses.macAddress);
    for (const address of [addresses.address, addresses.addressIPv6]) {
      if (address)
        await this.#inside('address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
    }
    await this.#inside('link', 'set', 'lo', 'up');
    await this.#inside('link', 'set', device, 'up');
    for (const gateway of [join.gateway, join.gatewayIPv6]) {
      if (gateway) await this.#inside('route', 'add', 'default', 'via', gateway, 'dev', device);
    }
    for (const { destination, nextHop } of join.staticRoutes ?? []) {
      await this.#inside('route', 'add', destination, ...(nextHop ? ['via', nextHop] : []), 'dev', device);
    }
  }

  /** Renames the link back and moves it out, as the engine does after the reply to Leave. */
  async detach(join: JoinReply): Promise<void> {
    const device = `${join.interfaceName.dstPrefix || 'eth'}0`;
    if (this.#sourceName === undefined) return;
    await this.#inside('link', 'set', device, 'down');
    await this.#inside('link', 'set', device, 'name', this.#sourceName);
    await this.#inside('link', 'set', this.#sourceName, 'netns', String(process.pid));
    this.#sourceName = undefined;
  }

  /** Whether the address answers within a few tries: a new bridge port may need a moment to forward. */
  async reaches(address: string): Promise<boolean> {
    const ping = ['netns', 'exec', this.#name, 'ping', '-n', '-c', '1', '-W', '1', address];
    for (let round = 0; round < 5; round += 1) {
      const answered = await ip(...ping).then(
        () => true,
        () => false,
      );
      if (answered) return true;
    }
    return false;
  }

  async destroy(): Promise<void> {
    await ip('netns', 'delete', this.#name);
  }

  #inside(...args: readonly string[]): Promise<string> {
    return ip('-netns', this.#name, ...args);
  }
}
