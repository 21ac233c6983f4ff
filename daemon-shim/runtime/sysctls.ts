/** `--sysctl`: only what belongs to a namespace of the container's own. Source: namespaces(7), the runtimes' own check. */
import { existsSync } from 'node:fs';
import { badRequest } from '../api/api-error.ts';
import type { ContainerConfig, HostConfig } from '../container/record.ts';

const ipcNames = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/** As the runtime gets them. Throws 400 for one that would change the host. */
export function planSysctls(config: ContainerConfig, hostConfig: HostConfig): Record<string, string> {
  const { NetworkMode, IpcMode, UTSMode, Sysctls = {} } = hostConfig;
  const ownNetwork = NetworkMode !== 'host';
  const own = { network: ownNetwork, ipc: IpcMode !== 'host', uts: UTSMode !== 'host' };
  for (const name of Object.keys(Sysctls)) checkSysctl(name, own);
  return {
    // As Docker does: any user may ping, and listen on any port of the container's own.
    ...(ownNetwork && !NetworkMode.startsWith('container:') ? networkDefaults() : {}),
    ...(config.Domainname !== '' && own.uts ? { 'kernel.domainname': config.Domainname } : {}),
    ...Sysctls,
  };
}

/** Whether a setting is of an interface (`net.ipv4.conf.eth0.…`), which must be there when the runtime sets it. */
export function setsInterfaces({ Sysctls = {} }: HostConfig): boolean {
  return Object.keys(Sysctls).some((name) => {
    const [, , table = '', link = ''] = name.split(/[./]/);
    return ['conf', 'neigh'].includes(table) && !['all', 'default', 'lo'].includes(link);
  });
}

function networkDefaults(): Record<string, string> {
  const wanted = { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' };
  return Object.fromEntries(
    Object.entries(wanted).filter(([name]) => existsSync(`/proc/sys/${name.replaceAll('.', '/')}`)),
  );
}

function checkSysctl(name: string, own: { network: boolean; ipc: boolean; uts: boolean }): void {
  const [dotted] = [name.includes('.') ? name : name.replaceAll('/', '.')];
  if (ipcNames.has(dotted) || dotted.startsWith('fs.mqueue.')) {
    if (own.ipc) return;
    throw badRequest(`sysctl "${name}" is not allowed in the hosts ipc namespace`);
  }
  if (dotted.startsWith('net.')) {
    if (own.network) return;
    throw badRequest(`sysctl "${name}" not allowed in host network namespace`);
  }
  if (dotted === 'kernel.domainname' && own.uts) return;
  if (dotted === 'kernel.hostname')
    throw badRequest(`sysctl "${name}" is not allowed as it conflicts with the OCI "hostname" field`);
  throw badRequest(`sysctl "${name}" is not in a separate kernel namespace`);
}
