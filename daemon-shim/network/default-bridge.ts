/** What the flags say of the predefined network `bridge`, in the options that every bridge driver knows. */
import ipaddr from 'ipaddr.js';
import type { BridgeConfig, ShimConfig } from '../config/config.ts';
import type { NetworkSpec } from './create.ts';
import type { IpamConfigEntry } from './record.ts';

/** Undefined with `--bridge none`. */
export function defaultBridge(config: ShimConfig): NetworkSpec | undefined {
  const { bridge } = config;
  if (bridge.name === 'none') return undefined;
  return {
    name: 'bridge',
    driver: config.defaultNetworkDriver,
    ipamDriver: config.defaultIpamDriver,
    enableIPv4: true,
    enableIPv6: bridge.ipv6,
    internal: false,
    attachable: false,
    configOnly: false,
    configFrom: '',
    ipamOptions: {},
    ipamConfig: [...poolOf(bridge, 4), ...(bridge.ipv6 ? poolOf(bridge, 6) : [])],
    options: { ...config.defaultNetworkOptions['bridge'], ...bridgeOptions(bridge) },
    labels: {},
  };
}

/** Only what was asked for: other drivers than cleat-bridge may know fewer options. */
function bridgeOptions(bridge: BridgeConfig): Record<string, string> {
  return {
    ...(bridge.interContainer ? {} : { 'com.docker.network.bridge.enable_icc': 'false' }),
    ...(bridge.masquerade ? {} : { 'com.docker.network.bridge.enable_ip_masquerade': 'false' }),
    ...(bridge.hostIp === undefined ? {} : { 'com.docker.network.bridge.host_binding_ipv4': bridge.hostIp }),
    ...(bridge.name === undefined ? {} : { 'com.docker.network.bridge.name': bridge.name }),
    ...(bridge.mtu === undefined ? {} : { 'com.docker.network.driver.mtu': String(bridge.mtu) }),
  };
}

/** The bridge's address gives subnet and gateway; without one, the range is the whole subnet, as in dockerd. */
function poolOf(bridge: BridgeConfig, family: 4 | 6): IpamConfigEntry[] {
  const bip = family === 4 ? bridge.bip : bridge.bip6;
  const range = family === 4 ? bridge.fixedCidr : bridge.fixedCidr6;
  const gateway = family === 4 ? bridge.gateway : bridge.gateway6;
  const whole = bip ?? range;
  if (whole === undefined) return [];
  return [
    {
      Subnet: networkOf(whole),
      ...(range === undefined || bip === undefined ? {} : { IPRange: networkOf(range) }),
      ...(bip === undefined ? {} : { Gateway: bip.split('/')[0] ?? bip }),
      ...(gateway === undefined ? {} : { AuxiliaryAddresses: { [`DefaultGatewayIPv${family}`]: gateway } }),
    },
  ];
}

/** `192.168.5.1/24` is in `192.168.5.0/24`. */
function networkOf(cidr: string): string {
  const [, length] = cidr.split('/');
  const kind = cidr.includes(':') ? ipaddr.IPv6 : ipaddr.IPv4;
  return `${kind.networkAddressFromCIDR(cidr)}/${length}`;
}
