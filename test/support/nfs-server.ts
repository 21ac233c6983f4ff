/**
 * The kernel's own NFS server in a host, in a guest kernel that has one: exports FOLDER to everybody. It is up when this
 * resolves; `stop` and `start` are what a reboot of the server looks like to its clients.
 */
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';

export interface NfsServer {
  readonly folder: string;
  start(): Promise<void>;
  /** No answer any more: the service ends. */
  stop(): Promise<void>;
  /** Writes the export table anew; one line of exports(5) each. */
  setExports(lines: readonly string[]): Promise<void>;
}

export const exportAll = 'rw,no_root_squash,insecure,no_subtree_check';

export async function startNfsServer(host: Host, folder = '/srv/export'): Promise<NfsServer> {
  await host.sh(`
    modprobe nfsd
    mount -t tmpfs tmpfs /var/lib/nfs; mkdir -p /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery; touch /var/lib/nfs/etab /var/lib/nfs/rmtab
    mount -t tmpfs tmpfs /srv; mkdir -p ${folder}
    mount -t nfsd nfsd /proc/fs/nfsd
    mkdir -p /etc/exports.d; : >/etc/exports; rm -f /etc/exports.d/*`);
  const server: NfsServer = {
    folder,
    async setExports(lines) {
      const text = lines.map((line) => `${line}\n`).join('');
      await host.run('bash', ['-c', 'cat >/etc/exports.d/test.exports; exportfs -ra'], { input: text });
    },
    async start() {
      // Clients of before may reclaim their locks during this time, and nobody may open a file by NFSv4 until it is over
      // (RFC 8881 §8.4.2); the kernel takes nothing below 10 s, and in a namespace it cannot be ended early.
      await host.sh(
        'echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime; rpc.nfsd 4; rpc.mountd',
      );
      await eventually('nfsd listens', async () => (await host.sh('ss -Hltn sport = :2049')) !== '');
    },
    async stop() {
      await host.sh('rpc.nfsd 0; kill $(pidof rpc.mountd) 2>/dev/null || true');
    },
  };
  await host.sh('pidof rpcbind >/dev/null || rpcbind -w || true');
  await server.setExports([`${folder} *(${exportAll},fsid=0)`]);
  await server.start();
  return server;
}
