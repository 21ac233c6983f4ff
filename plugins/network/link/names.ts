/**
 * Names of the links we make, derived from the engine's ids. Everything that carries them is ours, and nothing else is.
 *
 *     cl-1a2b3c4d5e6f    bridge of the network whose id begins with 1a2b3c4d5e6f
 *     cv1a2b3c4d5e       host end of the endpoint's veth
 *     cx4096             VXLAN with the VNI 4096 of an overlay network
 *     cleat-wg0          WireGuard device that the encrypted ones among them go by; cleat-wg1 beside it while keys change
 *     cv1a2b3c4d5ec      its container end, until the engine moves and renames it
 */

export function bridgeName(networkId: string): string {
  return `cl-${networkKey(networkId)}`;
}

/** What stands for the network in names of links and chains. */
export function networkKey(networkId: string): string {
  return networkId.slice(0, 12);
}

export function hostEndName(endpointId: string): string {
  return `cv${endpointId.slice(0, 10)}`;
}

export function vxlanName(vni: number): string {
  return `cx${vni}`;
}

export function tunnelName(slot: number): string {
  return `cleat-wg${slot}`;
}

export function containerEndName(endpointId: string): string {
  return `${hostEndName(endpointId)}c`;
}

/** Written on links as their alias, so that `ip link` tells whose they are and a custom bridge name is found again. */
export function networkAlias(networkId: string): string {
  return `cleat network ${networkId}`;
}

export function endpointAlias(endpointId: string): string {
  return `cleat endpoint ${endpointId}`;
}

/** Whether a link is one that we made, by alias; or by name for one whose alias is missing. */
export function isOurLink(link: { readonly name: string; readonly alias: string }): boolean {
  return (
    /^cleat (network|endpoint) /.test(link.alias) ||
    /^(cl-[0-9a-z]{12}|cv[0-9a-z]{10}c?|cx[0-9]{1,8}|cleat-wg[01])$/.test(link.name)
  );
}
