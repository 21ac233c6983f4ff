/** Addresses of log servers as Docker writes them, `proto://host:port` or `unix:///path`, several with commas between them. */
import { PluginError } from '../../sdk/errors.ts';

export interface ServerAddress {
  readonly text: string;
  readonly protocol: string;
  /** The path of a unix socket. */
  readonly path: string;
  readonly host: string;
  readonly port: number;
}

export interface AddressRules {
  readonly option: string;
  readonly driver: string;
  readonly protocols: readonly string[];
  /** undefined: the port has to be given. */
  readonly defaultPort: number | undefined;
}

export function parseAddresses(text: string, rules: AddressRules): ServerAddress[] {
  return text.split(',').map((part) => parseAddress(part.trim(), rules));
}

function parseAddress(text: string, rules: AddressRules): ServerAddress {
  const [, given = '', rest = ''] = /^([a-z+]+):\/\/(.*)$/i.exec(text) ?? [];
  const protocol = given.toLowerCase();
  if (!rules.protocols.includes(protocol)) {
    throw refused(text, rules, `use proto://address with one of the protocols ${rules.protocols.join(', ')}`);
  }
  if (protocol === 'unix' || protocol === 'unixgram') {
    if (!rest.startsWith('/')) throw refused(text, rules, `give an absolute path, as in ${protocol}:///dev/log`);
    return { text, protocol, path: rest, host: '', port: 0 };
  }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:/]*))(?::(\d{1,5}))?\/?$/.exec(rest) ?? [];
  // A port alone is one of this host, as Go dials it.
  const host = bracketed ?? (plain === '' && digits !== undefined ? 'localhost' : plain || undefined);
  const port = digits === undefined ? rules.defaultPort : Number(digits);
  if (host === undefined)
    throw refused(text, rules, `give a host, as in ${protocol}://logs.example.org:${rules.defaultPort ?? 12201}`);
  if (port === undefined) throw refused(text, rules, `give a port, as in ${protocol}://${host}:12201`);
  if (port < 1 || port > 65535) throw refused(text, rules, 'use a port from 1 to 65535');
  return { text, protocol, path: '', host, port };
}

function refused(text: string, rules: AddressRules, hint: string): PluginError {
  return new PluginError(
    'PROTO_OPTION',
    `${rules.driver}: option ${rules.option} has the address "${text}", which cannot be used`,
    { hint },
  );
}
