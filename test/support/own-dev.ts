/** A /dev of a host's own, so that a syslog socket there is nobody else's: the devices that programs want, in a tmpfs. */
import type { Host } from './host.ts';

/** Before an engine is started in the host. */
export async function ownDev(host: Host): Promise<void> {
  await host.sh(`
    mkdir /run/.dev && mount --rbind /dev /run/.dev && mount -t tmpfs -o mode=755 dev /dev
    cp -a /run/.dev/{fd,stdin,stdout,stderr} /dev/
    for folder in pts shm net; do mkdir /dev/$folder && mount --rbind /run/.dev/$folder /dev/$folder; done
    for device in null zero full random urandom tty console kmsg ptmx; do
      : >/dev/$device && mount --bind /run/.dev/$device /dev/$device
    done`);
}
