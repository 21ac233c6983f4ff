/** Which address of which server to mount from: names are resolved anew each time, and the first that answers is taken. */
import { PluginError } from '../../sdk/errors.ts';
import type { Budget } from '../backend.ts';
import { resolveServer } from '../server-address.ts';
import type { NfsConfig } from './options.ts';
import { answersNfs } from './rpc-probe.ts';

const nfsPort = 2049;
const portmapperPort = 111;
/** A server that is up answers in milliseconds; a lost SYN is sent again after one second (RFC 6298). */
const probeTimeoutMs = 1200;
export const retryEveryMs = 250;

export interface ChosenServer {
  /** As it was given. */
  readonly name: string;
  readonly address: string;
}

/** Tries until one answers or the time is over. Throws VOL_SERVER. */
export async function chooseServer(config: NfsConfig, budget: Budget): Promise<ChosenServer> {
  for (;;) {
    const { found, tried } = await tryServers(config, budget);
    if (found !== undefined) return found;
    if (budget.signal.aborted || budget.left() < 2 * retryEveryMs) {
      throw new PluginError('VOL_SERVER', `no NFS server answers for ${config.export}: ${tried.join(', ')}`, {
        hint: 'bring the server back, or give a longer mount-timeout to wait for it',
      });
    }
    await new Promise((resolve) => setTimeout(resolve, retryEveryMs));
  }
}

/** One round. `tried` says what became of each. */
export async function tryServers(
  config: NfsConfig,
  budget: Budget,
): Promise<{ readonly found?: ChosenServer; readonly tried: readonly string[] }> {
  const tried: string[] = [];
  for (const name of config.servers) {
    const part: Budget = { signal: budget.signal, left: () => Math.min(budget.left(), 2 * probeTimeoutMs) };
    let addresses: readonly string[];
    try {
      addresses = await resolveServer(name.replaceAll(/^\[|\]$/g, ''), part);
    } catch (error) {
      tried.push((error as Error).message);
      continue;
    }
    if (!config.probable && addresses[0] !== undefined) return { found: { name, address: addresses[0] }, tried };
    const answers = await Promise.all(addresses.map((address) => isServing(address, config, budget)));
    const address = addresses.find((_, index) => answers[index]);
    if (address !== undefined) return { found: { name, address }, tried };
    tried.push(`${name} (${addresses.filter((candidate) => candidate !== name).join(' ') || 'down'})`);
  }
  return { tried };
}

/** NFSv3 servers may use another port, which their port mapper knows: it is asked as well. */
export async function isServing(address: string, { port, version }: NfsConfig, budget: Budget): Promise<boolean> {
  const timeoutMs = Math.min(probeTimeoutMs, budget.left());
  const ask = (at: number): Promise<boolean> =>
    answersNfs(address, at, version === '3' ? 3 : 4, timeoutMs, budget.signal);
  if (port !== undefined || version?.startsWith('4')) return await ask(port ?? nfsPort);
  const [onNfsPort, onPortmapper] = await Promise.all([ask(nfsPort), ask(portmapperPort)]);
  return onNfsPort || onPortmapper;
}
