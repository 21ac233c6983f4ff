/** The public API `cleat/linux`: the Linux kernel's network, packet filter and namespaces from TypeScript, without a compiler. */
export { CommandError, type CommandFailure, type CommandOptions, type CommandResult, runCommand } from './command.ts';
export { errnoName, isKernelError, KernelError } from './errors.ts';
export * from './netlink/address.ts';
export { ipBytes, ipText, macBytes, macText } from './netlink/address-bytes.ts';
export type { BridgePort } from './netlink/bridge-port.ts';
export * from './netlink/link.ts';
export type * from './netlink/link-kinds.ts';
export { NetlinkFormatError } from './netlink/message.ts';
export { type MonitorOptions, NetlinkMonitor } from './netlink/monitor.ts';
export * from './netlink/neighbour.ts';
export * from './netlink/route.ts';
export * from './netlink/route-socket.ts';
export type { Scope } from './netlink/scope.ts';
export { NetlinkSocket, type Request } from './netlink/socket.ts';
export * from './netns.ts';
