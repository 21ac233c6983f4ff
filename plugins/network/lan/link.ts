/** The link of one container, made in the engine's namespace, down, under our name; the engine takes it from there. */
import { isKernelError } from '../../linux/errors.ts';
import { changeLink, createLink, findLink, type Link, type NewLinkSettings } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { containerEndName, endpointAlias } from '../link/names.ts';
import type { LinkMode } from './options.ts';

export interface LanLink {
  readonly endpointId: string;
  readonly mode: LinkMode;
  /** Index. */
  readonly parent: number;
  readonly mtu: number;
  /** Left out: the kernel's choice, for ipvlan the parent's. */
  readonly mac?: string;
}

/** Success when it is there. Throws NET_KERNEL, NET_PARENT_TAKEN, NET_LINK. */
export function makeLink(socket: RouteSocket, link: LanLink): void {
  const { endpointId, mode, parent, mtu, mac } = link;
  const name = containerEndName(endpointId);
  const settings = { mtu, ...(mac !== undefined && { mac }) };
  const [made, changed] = socket.attempt([
    linkRequest(name, mode, parent, settings),
    changeLink(name, { alias: endpointAlias(endpointId) }),
  ]);
  const known = isKernelError(made, 'EEXIST');
  const [set] = known ? socket.attempt([changeLink(name, settings)]) : [];
  const failed = (known ? undefined : made) ?? changed ?? set;
  if (failed) throw linkError(failed, mode, findLink(socket, parent));
}

function linkRequest(name: string, mode: LinkMode, parent: number, settings: NewLinkSettings): Request {
  if (mode.kind === 'ipvlan') {
    return createLink({ ...settings, kind: 'ipvlan', name, parent, options: { mode: mode.mode, flag: mode.flag } });
  }
  const { kind: _macvlan, ...options } = mode;
  return createLink({ ...settings, kind: 'macvlan', name, parent, options });
}

function linkError(error: Error, mode: LinkMode, parent: Link | undefined): PluginError {
  const name = parent?.name ?? 'its parent';
  if (isKernelError(error, 'EOPNOTSUPP')) {
    return new PluginError('NET_KERNEL', `this kernel has no ${mode.kind} links`, {
      hint: `run: modprobe ${mode.kind}`,
      cause: error,
    });
  }
  if (isKernelError(error, 'EBUSY', 'EINVAL')) {
    return new PluginError(
      'NET_PARENT_TAKEN',
      `no ${mode.kind} link in mode ${mode.mode} can be made on ${name}: ${error.message}`,
      {
        hint: 'a bridge port, a macvlan and an ipvlan parent exclude each other, and passthru takes one link only',
        cause: error,
      },
    );
  }
  return new PluginError('NET_LINK', `the ${mode.kind} link on ${name} could not be made: ${error.message}`, {
    cause: error,
  });
}
