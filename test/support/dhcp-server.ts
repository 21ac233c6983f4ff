/** Real DHCP servers of three makes on a host's eth0, for IPv4 and, but for udhcpd, IPv6: 192.0.2.0/24 and 2001:db8::/64. */
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { HostProcess } from './process.ts';

export const dhcpMakes = ['dnsmasq', 'dhcpd', 'udhcpd'] as const;
export type DhcpMake = (typeof dhcpMakes)[number];

export interface DhcpServerOptions {
  /** Seconds; dnsmasq gives two minutes at least. Default 120. */
  readonly leaseSeconds?: number;
  /** Last part of the first and the last address given out, in both families. Default 50 and 90 (hexadecimal in IPv6). */
  readonly range?: readonly [first: number, last: number];
}

export interface DhcpServer {
  start(): Promise<void>;
  /** SIGKILL: it forgets nothing that is on its disk. */
  stop(): Promise<void>;
  /** What it wrote about leases, host names among it, and what it logged. */
  leases(): Promise<string>;
  log(): string;
}

export function dhcpServer(host: Host, make: DhcpMake, options: DhcpServerOptions = {}): DhcpServer {
  const plan = { seconds: options.leaseSeconds ?? 120, range: options.range ?? ([50, 90] as const) };
  let running: HostProcess[] = [];
  const files = [4, 6].map((family) => `/run/${make}.leases${family}`);
  return {
    async start() {
      await host.sh(`touch ${files.join(' ')}`);
      if (make === 'dhcpd') await writeDhcpdFiles(host, plan);
      if (make === 'udhcpd') await writeUdhcpdFile(host, plan);
      running = commands(make, plan).map((command) => host.start('sh', ['-c', `exec ${command}`]));
      // Raw sockets of IPv4, UDP 547 of IPv6: there when the server is.
      await eventually(`${make} listens`, async () => {
        const sockets = await host.sh('cat /proc/net/udp /proc/net/udp6 /proc/net/packet | wc -l');
        const v6 = make === 'udhcpd' || /:0223 /.test(await host.sh('cat /proc/net/udp6'));
        return v6 && Number(sockets) > 3;
      });
    },
    async stop() {
      for (const process of running) await process.kill();
      running = [];
    },
    async leases() {
      if (make !== 'udhcpd') return host.sh(`cat ${files.join(' ')}`);
      // It writes its file, which is binary, when it is told to.
      for (const process of running) await process.signal('SIGUSR1');
      return host.sh(`busybox dumpleases -f ${files[0]}`);
    },
    log: () => running.map((process) => process.output()).join('\n'),
  };
}

interface Plan {
  readonly seconds: number;
  readonly range: readonly [first: number, last: number];
}

function commands(make: DhcpMake, { seconds, range: [first, last] }: Plan): string[] {
  switch (make) {
    case 'dnsmasq':
      return [
        [
          'dnsmasq --keep-in-foreground --port=0 --interface=eth0 --bind-interfaces --no-ping --user=root --log-dhcp --log-facility=-',
          `--dhcp-range=192.0.2.${first},192.0.2.${last},${seconds}`,
          `--dhcp-range=2001:db8::${first},2001:db8::${last},64,${seconds} --enable-ra`,
          '--dhcp-option=3,192.0.2.1 --dhcp-option=6,192.0.2.1 --dhcp-option=26,1400 --dhcp-option=option6:dns-server,[2001:db8::1]',
          '--dhcp-leasefile=/run/dnsmasq.leases4 --dhcp-authoritative',
        ].join(' '),
      ];
    case 'dhcpd':
      return [
        'dhcpd -4 -f -d -cf /run/dhcpd4.conf -lf /run/dhcpd.leases4 --no-pid eth0',
        'dhcpd -6 -f -d -cf /run/dhcpd6.conf -lf /run/dhcpd.leases6 --no-pid eth0',
      ];
    case 'udhcpd':
      return ['busybox udhcpd -f /run/udhcpd.conf'];
  }
}

async function writeDhcpdFiles(host: Host, { seconds, range: [first, last] }: Plan): Promise<void> {
  const common = `authoritative; default-lease-time ${seconds}; max-lease-time ${seconds}; min-lease-time ${seconds};`;
  await host.sh(`cat > /run/dhcpd4.conf <<'END'
${common} ping-check false;
subnet 192.0.2.0 netmask 255.255.255.0 {
  range 192.0.2.${first} 192.0.2.${last};
  option routers 192.0.2.1; option domain-name-servers 192.0.2.1; option interface-mtu 1400;
}
END
cat > /run/dhcpd6.conf <<'END'
${common}
subnet6 2001:db8::/64 {
  range6 2001:db8::${first} 2001:db8::${last};
  option dhcp6.name-servers 2001:db8::1;
}
END`);
}

async function writeUdhcpdFile(host: Host, { seconds, range: [first, last] }: Plan): Promise<void> {
  const lines = [
    `start 192.0.2.${first}`,
    `end 192.0.2.${last}`,
    'interface eth0',
    'max_leases 40',
    'lease_file /run/udhcpd.leases4',
    'pidfile /run/udhcpd.pid',
    'option subnet 255.255.255.0',
    'option router 192.0.2.1',
    'option dns 192.0.2.1',
    `option lease ${seconds}`,
    'min_lease 10',
  ];
  await host.sh(`printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} > /run/udhcpd.conf`);
}
