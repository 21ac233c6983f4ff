/** cleat-macvlan: each container has a MAC address of its own on the parent. */
import { choice, integer, type OptionSchema, type OptionValues } from '../../sdk/index.ts';
import type { LanKind } from '../lan/driver.ts';

const schema = {
  mode: choice('macvlan_mode', ['bridge', 'private', 'vepa', 'passthru'], { otherwise: 'bridge' }),
  broadcastQueueLength: integer('cleat.broadcast-queue', { min: 1, max: 1_000_000 }),
} satisfies OptionSchema;

export const macvlan: LanKind = {
  name: 'cleat-macvlan',
  kind: 'macvlan',
  schema,
  readMode: (options) => {
    const { mode, broadcastQueueLength } = options as unknown as OptionValues<typeof schema>;
    return { kind: 'macvlan', mode, ...(broadcastQueueLength !== undefined && { broadcastQueueLength }) };
  },
};
