/** The options of cleat-bridge: Docker's own, by their own names, and the few that Docker has no word for. */
import {
  choice,
  custom,
  flag,
  integer,
  ip,
  list,
  type OptionSchema,
  type OptionValues,
  parseOptions,
  text,
} from '../../sdk/index.ts';
import { parseStaticRoutes } from '../link/static-routes.ts';
import { findLinkedPorts, linkWords } from './linked-ports.ts';

export const driverName = 'cleat-bridge';

const gatewayModes = ['nat', 'nat-unprotected', 'routed', 'isolated'] as const;
export type GatewayMode = (typeof gatewayModes)[number];

/**
 * What the kernel takes as an interface name, without the characters that mean something to nftables (`*`, quotes, blanks).
 * IFNAMSIZ, <linux/if.h>: 15 characters.
 */
const interfaceName = /^(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}$/;
const interfaceWords = 'an interface name of up to 15 letters, digits and _ . : @ -';

export const networkSchema = {
  bridgeName: text('com.docker.network.bridge.name', { pattern: interfaceName, expected: interfaceWords }),
  interContainer: flag('com.docker.network.bridge.enable_icc', { otherwise: true }),
  masquerade: flag('com.docker.network.bridge.enable_ip_masquerade', { otherwise: true }),
  hostBinding: ip('com.docker.network.bridge.host_binding_ipv4', { family: 4 }),
  inhibitIpv4: flag('com.docker.network.bridge.inhibit_ipv4', { otherwise: false }),
  gatewayMode4: choice('com.docker.network.bridge.gateway_mode_ipv4', gatewayModes, { otherwise: 'nat' }),
  gatewayMode6: choice('com.docker.network.bridge.gateway_mode_ipv6', gatewayModes, { otherwise: 'nat' }),
  trustedInterfaces: list('com.docker.network.bridge.trusted_host_interfaces', {
    separator: ':',
    item: /^[A-Za-z0-9_.][A-Za-z0-9_.@-]{0,14}$/,
    expected: 'interface names with ":" between them',
  }),
  hostIpv4: ip('com.docker.network.host_ipv4', { family: 4 }),
  hostIpv6: ip('com.docker.network.host_ipv6', { family: 6 }),
  // 68: the least that IPv4 allows (RFC 791); IPv6 wants 1280, which plan.ts checks where it matters.
  mtu: integer('com.docker.network.driver.mtu', { min: 68, max: 65535 }),
  containerPrefix: text(
    ['com.docker.network.container_iface_prefix', 'com.docker.network.container_interface_prefix'],
    {
      pattern: /^[A-Za-z][A-Za-z0-9_.-]{0,11}$/,
      expected: 'a letter and up to 11 letters, digits and _ . -',
      otherwise: 'eth',
    },
  ),
  routes: custom(
    'cleat.route',
    {
      expected: 'DESTINATION via GATEWAY, several with commas between them, as in "198.51.100.0/24 via 192.0.2.9"',
      find: parseStaticRoutes,
    },
    { otherwise: [] },
  ),
} satisfies OptionSchema;

export type BridgeOptions = OptionValues<typeof networkSchema>;

export const endpointSchema = {
  // Read by the engine itself; allowed here because it sends them to the driver too.
  sysctls: text('com.docker.network.endpoint.sysctls', { empty: true }),
  interfaceName: text('com.docker.network.endpoint.ifname', { pattern: interfaceName, expected: interfaceWords }),
  linkedPorts: custom('cleat.link', { expected: linkWords, find: findLinkedPorts }, { otherwise: [] }),
} satisfies OptionSchema;

export type BridgeEndpointOptions = OptionValues<typeof endpointSchema>;

/** Options of services on top of the network (DNS), which reads them itself: allowed, checked, and otherwise not looked at. */
export interface ServiceOptions {
  readonly network: OptionSchema;
  readonly endpoint: OptionSchema;
  /** Name of the driver that bridges; default this one's. */
  readonly driver?: string;
}

export const noServiceOptions: ServiceOptions = { network: {}, endpoint: {} };

export function parseNetworkOptions(given: Readonly<Record<string, string>>, services: ServiceOptions): BridgeOptions {
  return parseOptions({ ...services.network, ...networkSchema }, given, { driver: services.driver ?? driverName });
}

export function parseEndpointOptions(
  given: Readonly<Record<string, string>>,
  services: ServiceOptions,
): BridgeEndpointOptions {
  return parseOptions({ ...services.endpoint, ...endpointSchema }, given, {
    driver: `${services.driver ?? driverName} endpoint`,
  });
}
