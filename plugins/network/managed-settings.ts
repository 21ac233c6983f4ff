/** What `docker plugin set` may say, over what the configuration file says. Pure. */

export type ManagedSetting = 'PEERS' | 'SECRET_FILE' | 'ETCD' | 'ADDRESS' | 'LOG_LEVEL';

/** For the plugin's config.json; an empty value leaves the word to the configuration file. */
export const managedSettings: readonly { readonly name: ManagedSetting; readonly description: string }[] = [
  { name: 'PEERS', description: 'Addresses of all hosts, with commas (overlay.peers)' },
  { name: 'SECRET_FILE', description: 'File with the secret of all hosts, below /etc/cleat (overlay.secretFile)' },
  { name: 'ETCD', description: 'URLs of etcd members, with commas, instead of peers (overlay.etcd.endpoints)' },
  { name: 'ADDRESS', description: "This host's address among the peers, where several are (overlay.address)" },
  { name: 'LOG_LEVEL', description: 'trace, debug, info, warn or error; default info' },
];

/** The configuration with the settings in it, and scope global. What is no object in the file stays for its reader to refuse. */
export function withSettings(
  config: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, unknown>> {
  const overlay = config['overlay'] ?? {};
  if (!isObject(overlay)) return config;
  const words = (name: ManagedSetting) => env[name]?.split(',').map((word) => word.trim());
  const etcd = overlay['etcd'] ?? {};
  return {
    ...config,
    overlay: {
      ...overlay,
      ...(env['PEERS'] && { peers: words('PEERS') }),
      ...(env['SECRET_FILE'] && { secretFile: env['SECRET_FILE'] }),
      ...(env['ETCD'] && isObject(etcd) && { etcd: { ...etcd, endpoints: words('ETCD') } }),
      ...(env['ADDRESS'] && { address: env['ADDRESS'] }),
      scope: 'global',
    },
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
