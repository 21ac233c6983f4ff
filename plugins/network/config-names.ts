/** The names at the top of /etc/cleat/networkd.json. What stands below each is read, and checked, where it belongs. */
import { PluginError } from '../sdk/errors.ts';
import { nearestName } from '../sdk/nearest-name.ts';

const known = ['dns', 'engines', 'firewall', 'ipam', 'overlay'];

/** Throws PROTO_OPTION_UNKNOWN. */
export function checkConfigNames(config: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(config)) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    const meant = nearest === undefined ? '' : `did you mean "${nearest}"? `;
    throw new PluginError('PROTO_OPTION_UNKNOWN', `cleat-networkd configuration has no option "${name}"`, {
      hint: `${meant}known options: ${known.join(', ')}`,
    });
  }
}
