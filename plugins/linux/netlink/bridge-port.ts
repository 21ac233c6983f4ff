/** Settings of a link as a port of a bridge, bridge(8): IFLA_BRPORT_*, <linux/if_link.h>. */
import { bool, type FieldTable, u8, u16, u32 } from './attributes.ts';

export interface BridgePort {
  /** 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking. */
  readonly state?: number;
  readonly priority?: number;
  readonly cost?: number;
  /** May send a frame back out of the port that it came in by. */
  readonly hairpin?: boolean;
  /** Isolated ports reach the ports that are not isolated, and never each other. */
  readonly isolated?: boolean;
  readonly learning?: boolean;
  /** Unicast to an unknown address. */
  readonly flood?: boolean;
  readonly multicastFlood?: boolean;
  readonly broadcastFlood?: boolean;
  readonly multicastToUnicast?: boolean;
  /** Gets all groups: 0 never, 1 while it is heard to be a router, 2 always. */
  readonly multicastRouter?: number;
  readonly multicastFastLeave?: boolean;
  readonly bpduGuard?: boolean;
  readonly rootBlock?: boolean;
  readonly proxyArp?: boolean;
  /** ARP and ND that the bridge can answer from its neighbours are not sent to this port. */
  readonly neighbourSuppress?: boolean;
  readonly vlanTunnel?: boolean;
  readonly locked?: boolean;
  readonly groupForwardMask?: number;
}

export const bridgePortFields: FieldTable<BridgePort> = {
  state: u8(1),
  priority: u16(2),
  cost: u32(3),
  hairpin: bool(4), // IFLA_BRPORT_MODE
  bpduGuard: bool(5), // IFLA_BRPORT_GUARD
  rootBlock: bool(6), // IFLA_BRPORT_PROTECT
  multicastFastLeave: bool(7),
  learning: bool(8),
  flood: bool(9), // IFLA_BRPORT_UNICAST_FLOOD
  proxyArp: bool(10),
  multicastRouter: u8(25),
  multicastFlood: bool(27),
  multicastToUnicast: bool(28),
  vlanTunnel: bool(29),
  broadcastFlood: bool(30),
  groupForwardMask: u16(31),
  neighbourSuppress: bool(32),
  isolated: bool(33),
  locked: bool(39),
};
