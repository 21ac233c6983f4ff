/** cleat-ipvlan: containers share the parent's MAC address, for switches that allow one MAC a port. */
import { choice, type OptionSchema, type OptionValues } from '../../sdk/index.ts';
import type { LanKind } from '../lan/driver.ts';

const schema = {
  mode: choice('ipvlan_mode', ['l2', 'l3', 'l3s'], { otherwise: 'l2' }),
  flag: choice('ipvlan_flag', ['bridge', 'private', 'vepa'], { otherwise: 'bridge' }),
} satisfies OptionSchema;

export const ipvlan: LanKind = {
  name: 'cleat-ipvlan',
  kind: 'ipvlan',
  schema,
  readMode: (options) => {
    const { mode, flag } = options as unknown as OptionValues<typeof schema>;
    return { kind: 'ipvlan', mode, flag };
  },
};
