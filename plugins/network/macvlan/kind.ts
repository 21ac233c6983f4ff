/** cleat-macvlan: each container has a MAC address of its own on the parent. */
import { choice, integer, list, type OptionSchema, type OptionValues, PluginError } from '../../sdk/index.ts';
import type { LanKind } from '../lan/driver.ts';

const schema = {
  mode: choice('macvlan_mode', ['bridge', 'private', 'vepa', 'passthru', 'source'], { otherwise: 'bridge' }),
  sourceMacs: list('cleat.source-macs', {
    item: /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i,
    expected: 'MAC addresses with commas between them',
  }),
  broadcastQueueLength: integer('cleat.broadcast-queue', { min: 1, max: 1_000_000 }),
} satisfies OptionSchema;

export const macvlan: LanKind = {
  name: 'cleat-macvlan',
  kind: 'macvlan',
  schema,
  readMode: (options) => {
    const { mode, sourceMacs, broadcastQueueLength } = options as unknown as OptionValues<typeof schema>;
    if ((mode === 'source') !== (sourceMacs !== undefined && sourceMacs.length > 0)) {
      throw new PluginError(
        'PROTO_OPTION',
        'macvlan_mode=source and cleat.source-macs belong together: the mode hears only the senders that are named',
      );
    }
    return {
      kind: 'macvlan',
      mode,
      ...(mode === 'source' && sourceMacs !== undefined && { sourceMacs }),
      ...(broadcastQueueLength !== undefined && { broadcastQueueLength }),
    };
  },
};
