/** The files that tell an engine where a plugin on TCP is: `.spec` is one line, `.json` also says how TLS is done. */
import { PluginError } from './errors.ts';

export interface PluginAddress {
  /** `unix:///path`, `tcp://host:port`, `http://host:port` or `https://host:port`. */
  readonly url: string;
  readonly tls?: SpecTls;
}

export interface SpecTls {
  readonly insecureSkipVerify: boolean;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export function specFileText(
  name: string,
  address: string,
  tls: boolean,
  client?: { readonly caFile: string; readonly certFile?: string; readonly keyFile?: string },
): string {
  if (!tls) return `tcp://${address}\n`;
  const TLSConfig = {
    // The engine does not verify at all without a CA file: write one, or accept that.
    InsecureSkipVerify: client === undefined,
    ...(client === undefined ? {} : { CAFile: client.caFile }),
    ...(client?.certFile === undefined ? {} : { CertFile: client.certFile }),
    ...(client?.keyFile === undefined ? {} : { KeyFile: client.keyFile }),
  };
  return `${JSON.stringify({ Name: name, Addr: `https://${address}`, TLSConfig }, null, 2)}\n`;
}

/** One line: an address with a scheme. */
export function parseSpec(text: string, file: string): PluginAddress {
  const url = text.trim();
  if (!/^[a-z]+:\/\/\S+$/.test(url)) throw new PluginError('PROTO_SPEC', `${file} holds no address with a scheme`);
  return { url };
}

export function parseJsonSpec(text: string, file: string): PluginAddress {
  const spec = readJson(text, file);
  const { url } = parseSpec(typeof spec['Addr'] === 'string' ? spec['Addr'] : '', file);
  const tls = spec['TLSConfig'];
  if (typeof tls !== 'object' || tls === null) return { url };
  const fields = tls as Record<string, unknown>;
  const textField = (name: string) =>
    typeof fields[name] === 'string' && fields[name] !== '' ? fields[name] : undefined;
  const caFile = textField('CAFile');
  const certFile = textField('CertFile');
  const keyFile = textField('KeyFile');
  return {
    url,
    tls: {
      insecureSkipVerify: fields['InsecureSkipVerify'] === true || caFile === undefined,
      ...(caFile === undefined ? {} : { caFile }),
      ...(certFile === undefined ? {} : { certFile }),
      ...(keyFile === undefined ? {} : { keyFile }),
    },
  };
}

function readJson(text: string, file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw new PluginError('PROTO_SPEC', `${file} is no JSON (${(error as Error).message})`, { cause: error });
  }
  throw new PluginError('PROTO_SPEC', `${file} must hold a JSON object`);
}
