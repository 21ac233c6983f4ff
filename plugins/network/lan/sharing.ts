/** Which networks may have one parent: what the kernel would refuse later, with no more than EBUSY. Pure. */
import { PluginError } from '../../sdk/errors.ts';
import { networkKey } from '../link/names.ts';
import type { LinkMode } from './options.ts';

export interface ParentUser {
  readonly networkId: string;
  readonly mode: LinkMode;
}

/** Throws NET_PARENT_TAKEN. `others`: the networks that have the parent already, of both drivers. */
export function refuseSharing(parent: string, wanted: LinkMode, others: readonly ParentUser[]): void {
  for (const { networkId, mode } of others) {
    const network = `the network ${networkKey(networkId)}`;
    if (mode.kind !== wanted.kind) {
      throw new PluginError('NET_PARENT_TAKEN', `parent ${parent} serves ${network} of cleat-${mode.kind}`, {
        hint: `one interface serves macvlan or ipvlan, not both: use -d cleat-${mode.kind}, or another parent`,
      });
    }
    const passthru = wanted.mode === 'passthru' || mode.mode === 'passthru';
    const otherMode = wanted.kind === 'ipvlan' && mode.mode !== wanted.mode;
    if (!passthru && !otherMode) continue;
    throw new PluginError(
      'NET_PARENT_TAKEN',
      `parent ${parent} serves ${network} in mode ${mode.mode}, which does not go with ${wanted.mode}`,
      { hint: passthru ? 'passthru needs a parent of its own' : 'all networks of an ipvlan parent have one mode' },
    );
  }
}
