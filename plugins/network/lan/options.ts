/** The options that macvlan and ipvlan share; each driver adds its mode. */
import { choice, custom, integer, type OptionSchema, type OptionValues, text } from '../../sdk/index.ts';
import { findIp, formatIp } from '../address/ip.ts';

/** IFNAMSIZ, <linux/if.h>: 15 characters; a dot and a number behind a name is a VLAN of it. */
const interfaceName = /^(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}$/;

/** `off`, `on` (the parent's own addresses), or the address that the host has on the network. */
export type HostAccess = 'off' | 'on' | { readonly address: string };

export const lanSchema = {
  /** Empty as left out: a network without a wire. */
  parent: text('parent', {
    empty: true,
    pattern: new RegExp(`^$|${interfaceName.source}`),
    expected: 'the name of an interface of this host, such as eth0 or eth0.10',
  }),
  mtu: integer('com.docker.network.driver.mtu', { min: 68, max: 65535 }),
  containerPrefix: text(
    ['com.docker.network.container_iface_prefix', 'com.docker.network.container_interface_prefix'],
    {
      pattern: /^[A-Za-z][A-Za-z0-9_.-]{0,11}$/,
      expected: 'a letter and up to 11 letters, digits and _ . -',
      otherwise: 'eth',
    },
  ),
  hostAccess: custom(
    'cleat.host-access',
    { expected: 'on, off, or the address that this host takes on the network', find: findHostAccess },
    { otherwise: 'off' as HostAccess },
  ),
  duplicateProbe: choice('cleat.duplicate-probe', ['on', 'off'], { otherwise: 'on' }),
} satisfies OptionSchema;

export type LanOptions = OptionValues<typeof lanSchema>;

/** What a driver's own options come down to. */
export type LinkMode =
  | {
      readonly kind: 'macvlan';
      readonly mode: 'bridge' | 'private' | 'vepa' | 'passthru' | 'source';
      readonly sourceMacs?: readonly string[];
      readonly broadcastQueueLength?: number;
    }
  | { readonly kind: 'ipvlan'; readonly mode: 'l2' | 'l3' | 'l3s'; readonly flag: 'bridge' | 'private' | 'vepa' };

export const endpointSchema = {
  sysctls: text('com.docker.network.endpoint.sysctls', { empty: true }),
  interfaceName: text('com.docker.network.endpoint.ifname', {
    pattern: interfaceName,
    expected: 'an interface name of up to 15 letters, digits and _ . : @ -',
  }),
} satisfies OptionSchema;

function findHostAccess(value: string): HostAccess | undefined {
  if (value === 'on' || value === 'true') return 'on';
  if (value === 'off' || value === 'false' || value === '') return 'off';
  const ip = findIp(value);
  return ip === undefined ? undefined : { address: formatIp(ip) };
}
