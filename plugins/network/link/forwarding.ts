/** The host as a router: switched on when the first network needs it, and said so, for it is a setting of the whole host. */
import { ensureSysctl, findSysctl } from '../../linux/sysctl.ts';

interface Log {
  warn(fields: object, message: string): void;
}

/** Lets the host pass packets on between its interfaces. Nothing to do where it does already. */
export function ensureForwarding(family: 4 | 6, log: Log): void {
  const setting = family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding';
  if (findSysctl(setting) === undefined) return;
  if (ensureSysctl(setting, 1) === undefined) return;
  const words =
    family === 4
      ? 'this host now forwards IPv4 packets between all its interfaces, which networks need'
      : 'this host now forwards IPv6 packets between all its interfaces; those that learn routes from advertisements need accept_ra=2 to go on doing so';
  log.warn({ setting: setting.replaceAll('/', '.'), value: 1 }, words);
}
