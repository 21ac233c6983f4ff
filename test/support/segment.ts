/**
 * An Ethernet segment: a bridge in a namespace of its own, and a cable (veth pair) to each host on it.
 *
 *     host a: eth0 ──┐
 *     host b: eth0 ──┼── switch (bridge "sw")
 *     host c: eth0 ──┘
 */
import { runCommand } from '../../plugins/linux/command.ts';
import { createHost, type Host } from './host.ts';

export interface UplinkOptions {
  /** Name of the interface in the host; default eth0. */
  readonly name?: string;
  /** With prefix lengths, IPv4 or IPv6. */
  readonly addresses?: readonly string[];
  readonly mtu?: number;
  readonly mac?: string;
  /** Default route by this address. */
  readonly gateway?: string;
}

export interface Segment {
  /** The switch's own namespace: capture here what is on the wire, with interface "sw" or a port. */
  readonly host: Host;
  /** Plugs a host in; returns the name of the switch's port. */
  attach(host: Host, options?: UplinkOptions): Promise<string>;
  close(): Promise<void>;
}

export async function createSegment(options: { readonly mtu?: number } = {}): Promise<Segment> {
  const host = await createHost({ name: 'switch' });
  // No multicast snooping: a segment with no querier would lose neighbour discovery after a while.
  await host.sh('ip link add sw type bridge mcast_snooping 0; ip link set sw up');
  let ports = 0;
  let moved: Promise<void> = Promise.resolve();
  return {
    host,
    async attach(target, uplink = {}) {
      ports += 1;
      const port = `port${ports}`;
      const name = uplink.name ?? 'eth0';
      const mtu = uplink.mtu ?? options.mtu ?? 1500;
      const mac = uplink.mac ? `address ${uplink.mac}` : '';
      const create = `ip link add ${port} mtu ${mtu} type veth peer name ${name} mtu ${mtu} ${mac}`;
      // One after the other: two that are made at a time have the same name. Both namespaces are children of ours, so the numbers
      // that we know are moved by a command of ours.
      moved = moved.then(() => moveLink(host, target, create, name));
      await moved;
      await host.sh(`ip link set ${port} master sw up`);
      const lines = [`ip link set ${name} up`];
      for (const address of uplink.addresses ?? []) {
        lines.push(`ip addr add ${address} dev ${name} ${address.includes(':') ? 'nodad' : ''}`);
      }
      if (uplink.gateway) lines.push(`ip route add default via ${uplink.gateway}`);
      await target.sh(lines.join('\n'));
      return port;
    },
    close: () => host.close(),
  };
}

/** Runs `create` in one host's network namespace only, where the other host's number is still known, and moves the link. */
async function moveLink(from: Host, to: Host, create: string, name: string): Promise<void> {
  const script = `${create}; ip link set ${name} netns ${to.pid}`;
  await runCommand('nsenter', [`--net=${from.netns}`, 'sh', '-euc', script], { timeoutMs: 10_000 });
}
