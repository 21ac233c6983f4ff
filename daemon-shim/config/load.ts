/** From the command line and the file to the configuration; what is ignored is said, what cannot be done is refused. */

import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type BridgeConfig, defaultCgroupParent, type ShimConfig, type TlsConfig } from './config.ts';
import { mergeValues, readConfigFile } from './file.ts';
import { parseFlags } from './flags.ts';
import { logPluginName } from './log-drivers.ts';
import { ConfigError, type OptionValue, type OptionValues } from './option.ts';
import { allOptions } from './options.ts';

export interface LoadedConfig {
  readonly config: ShimConfig;
  /** To be logged. */
  readonly warnings: readonly string[];
  readonly configFile: string;
  /** What to do instead of running. */
  readonly instead?: 'help' | 'version' | 'validate';
}

const defaultFile = '/etc/cleat/shim.json';
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** Throws ConfigError. Called again for SIGHUP: the file may have changed. */
export function loadConfig(argv: readonly string[]): LoadedConfig {
  const flags = parseFlags(argv);
  if (flags.has('config') && flags.has('config-file'))
    throw new ConfigError('--config and --config-file are the same: give one of them', true);
  const given = textOf(flags, 'config-file') ?? textOf(flags, 'config');
  const configFile = given ?? defaultFile;
  const instead = flags.get('help')
    ? 'help'
    : flags.get('version')
      ? 'version'
      : flags.get('validate')
        ? 'validate'
        : undefined;
  const needsFile = instead === undefined || instead === 'validate';
  const file = needsFile ? readConfigFile(configFile, given !== undefined) : new Map();
  const values = mergeValues(flags, file, configFile);
  const warnings = checkForeign(values);
  return { config: makeConfig(values), warnings, configFile, ...(instead === undefined ? {} : { instead }) };
}

/** Warnings for what is ignored. Throws ConfigError for what cannot be done. */
function checkForeign(values: OptionValues): string[] {
  const warnings: string[] = [];
  for (const option of allOptions) {
    const value = values.get(option.name);
    if (value === undefined) continue;
    if (option.ignored !== undefined) warnings.push(`--${option.name} has no effect: ${option.ignored}`);
    const { refused } = option;
    if (refused === undefined) continue;
    const items = Array.isArray(value) ? value : [value];
    if (!items.every((item) => refused.unless?.includes(item)))
      throw new ConfigError(`--${option.name} is not supported: ${refused.reason}`);
  }
  return warnings;
}

function makeConfig(values: OptionValues): ShimConfig {
  const text = (name: string) => textOf(values, name);
  const flag = (name: string, otherwise = false) => (values.get(name) as boolean | undefined) ?? otherwise;
  const list = (name: string) => (values.get(name) as readonly string[] | undefined) ?? [];
  const runDir = text('run-dir') ?? '/run/cleat';
  const tls = tlsConfig(values);
  const cgroupns = oneOf(text('default-cgroupns-mode'), 'default-cgroupns-mode', ['private', 'host'] as const);
  return {
    runDir,
    dataRoot: text('data-root') ?? join(text('state-dir') ?? '/var/lib/cleat', 'shim'),
    execRoot: text('exec-root') ?? join(runDir, 'shim'),
    hosts: checkHosts(list('host').length > 0 ? list('host') : [`unix://${runDir}/docker.sock`]),
    group: text('group') ?? '',
    ...(tls === undefined ? {} : { tls }),
    ...optional('pidfile', text('pidfile')),
    pluginDir: text('plugin-dir') ?? '/run/docker/plugins',
    labels: checkLabels(list('label')),
    logLevel: oneOf(text('log-level'), 'log-level', logLevels) ?? 'info',
    debug: flag('debug'),
    defaultRuntime: text('default-runtime') ?? '',
    runtimes: (values.get('add-runtime') as ShimConfig['runtimes'] | undefined) ?? {},
    init: flag('init'),
    ...optional('initPath', text('init-path')),
    liveRestore: flag('live-restore', true),
    logDriver: logPluginName(text('log-driver') ?? 'json-file'),
    logOpts: (values.get('log-opt') as ShimConfig['logOpts'] | undefined) ?? {},
    defaultNetworkDriver: text('default-network-driver') ?? 'cleat-bridge',
    defaultIpamDriver: text('default-ipam-driver') ?? 'cleat-ipam',
    defaultVolumeDriver: text('default-volume-driver') ?? 'cleat-local',
    shutdownTimeoutSeconds: (values.get('shutdown-timeout') as number | undefined) ?? 15,
    defaultUlimits: (values.get('default-ulimit') as ShimConfig['defaultUlimits'] | undefined) ?? {},
    defaultShmSize: (values.get('default-shm-size') as number | undefined) ?? 64 << 20,
    defaultIpcMode: oneOf(text('default-ipc-mode'), 'default-ipc-mode', ['private', 'shareable'] as const) ?? 'private',
    ...optional('defaultCgroupnsMode', cgroupns),
    cgroupParent: text('cgroup-parent') || defaultCgroupParent,
    noNewPrivileges: flag('no-new-privileges'),
    seccompProfile: text('seccomp-profile') || 'builtin',
    dns: checkAddresses('dns', list('dns')),
    dnsOptions: list('dns-opt'),
    dnsSearch: list('dns-search'),
    hostGatewayIps: checkAddresses('host-gateway-ip', list('host-gateway-ip')),
    defaultAddressPools: (values.get('default-address-pool') as ShimConfig['defaultAddressPools'] | undefined) ?? [],
    defaultNetworkOptions: (values.get('default-network-opt') as ShimConfig['defaultNetworkOptions'] | undefined) ?? {},
    bridge: bridgeConfig(values),
  };
}

function bridgeConfig(values: OptionValues): BridgeConfig {
  const text = (name: string) => textOf(values, name) || undefined;
  const name = text('bridge');
  if (name !== undefined && (text('bip') !== undefined || text('bip6') !== undefined)) {
    throw new ConfigError('you specified "-b" and "--bip", mutually exclusive options; please specify only one', true);
  }
  const mtu = values.get('mtu') as number | undefined;
  return {
    ...optional('name', name),
    ...optional('bip', checkCidr('bip', text('bip'))),
    ...optional('bip6', checkCidr('bip6', text('bip6'))),
    ...optional('fixedCidr', checkCidr('fixed-cidr', text('fixed-cidr'))),
    ...optional('fixedCidr6', checkCidr('fixed-cidr-v6', text('fixed-cidr-v6'))),
    ...optional('gateway', checkAddresses('default-gateway', listOf(text('default-gateway')))[0]),
    ...optional('gateway6', checkAddresses('default-gateway-v6', listOf(text('default-gateway-v6')))[0]),
    ...optional('mtu', mtu === undefined || mtu === 0 ? undefined : mtu),
    interContainer: (values.get('icc') as boolean | undefined) ?? true,
    masquerade: (values.get('ip-masq') as boolean | undefined) ?? true,
    ipv6: (values.get('ipv6') as boolean | undefined) ?? false,
    ...optional('hostIp', checkAddresses('ip', listOf(text('ip')))[0]),
  };
}

/** dockerd takes certificates from ~/.docker where none are named. */
function tlsConfig(values: OptionValues): TlsConfig | undefined {
  const verify = (values.get('tlsverify') as boolean | undefined) ?? false;
  if (!verify && !values.get('tls')) return undefined;
  const folder = process.env['DOCKER_CERT_PATH'] ?? join(homedir(), '.docker');
  return {
    caFile: textOf(values, 'tlscacert') ?? join(folder, 'ca.pem'),
    certFile: textOf(values, 'tlscert') ?? join(folder, 'cert.pem'),
    keyFile: textOf(values, 'tlskey') ?? join(folder, 'key.pem'),
    verify,
  };
}

function checkHosts(hosts: readonly string[]): readonly string[] {
  for (const host of hosts) {
    if (!/^(unix:\/\/\/.+|fd:\/\/.*|tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/]*)(:[0-9]+)?\/?)$/.test(host)) {
      throw new ConfigError(
        `invalid argument "${host}" for "-H, --host" flag: invalid bind address (${host}): use unix:///PATH or tcp://ADDRESS:PORT`,
        true,
      );
    }
  }
  return hosts;
}

function checkLabels(labels: readonly string[]): readonly string[] {
  const keys = new Map<string, string>();
  for (const label of labels) {
    const [key = '', value] = label.split(/=(.*)/s);
    if (value === undefined) throw new ConfigError(`bad attribute format: ${label}`);
    const other = keys.get(key);
    if (other !== undefined && other !== value)
      throw new ConfigError(`conflict labels for ${key}=${value} and ${key}=${other}`);
    keys.set(key, value);
  }
  return labels;
}

function checkAddresses(name: string, addresses: readonly string[]): readonly string[] {
  for (const address of addresses) {
    if (isIP(address) === 0)
      throw new ConfigError(`invalid argument "${address}" for "--${name}" flag: ${address} is not an ip address`);
  }
  return addresses;
}

function checkCidr(name: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [address = '', length = '', more] = text.split('/');
  const family = isIP(address);
  const isCidr =
    family !== 0 && more === undefined && /^[0-9]+$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
  if (!isCidr) throw new ConfigError(`invalid argument "${text}" for "--${name}" flag: invalid CIDR address: ${text}`);
  return text;
}

function oneOf<T extends string>(value: string | undefined, name: string, known: readonly T[]): T | undefined {
  if (value === undefined || value === '') return undefined;
  const found = known.find((word) => word === value);
  if (found === undefined) {
    throw new ConfigError(`invalid argument "${value}" for "--${name}" flag: must be one of ${known.join(', ')}`);
  }
  return found;
}

function listOf(text: string | undefined): string[] {
  return text === undefined ? [] : [text];
}

function textOf(values: ReadonlyMap<string, OptionValue>, name: string): string | undefined {
  return values.get(name) as string | undefined;
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}
