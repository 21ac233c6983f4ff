/** The names at the top of /etc/cleat/networkd.json. What stands below each is read, and checked, where it belongs. */
import { unknownOption } from '../sdk/options.ts';

const known = ['dns', 'engines', 'firewall', 'ipam', 'overlay'];

/** Throws PROTO_OPTION_UNKNOWN. */
export function checkConfigNames(config: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(config).find((name) => !known.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, known, 'cleat-networkd configuration');
}
