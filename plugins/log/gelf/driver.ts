/** cleat-gelf: Docker's gelf driver with a journal in front, and what that driver lacks: TLS, failover, whole lines. */
import { hostname } from 'node:os';
import { PluginError } from '../../sdk/errors.ts';
import type { LogInfo } from '../../sdk/log-plugin.ts';
import { choice, integer, text } from '../../sdk/option-kinds.ts';
import { type OptionValues, parseOptions } from '../../sdk/options.ts';
import { findAttributes } from '../attributes.ts';
import { parseAddresses, type ServerAddress } from '../delivery/address.ts';
import type { Connector } from '../delivery/connection.ts';
import { datagramConnector } from '../delivery/datagram-connection.ts';
import {
  journalFiles,
  openRemoteLog,
  remoteLimits,
  remoteOptions,
  remoteSettings,
} from '../delivery/remote-options.ts';
import { lineSeverity, streamSeverity } from '../delivery/severity.ts';
import { streamConnector } from '../delivery/stream-connection.ts';
import type { TlsFiles } from '../delivery/tls-files.ts';
import type { DriverSpec, PreparedLog } from '../driver-spec.ts';
import { JournalScanner } from '../journal/block.ts';
import { rotationSettings } from '../rotation-options.ts';
import { containerCommand, containerName, renderTag } from '../tag.ts';
import { GelfFormat, type GelfTransport } from './format.ts';

const name = 'cleat-gelf';
const protocols = ['udp', 'tcp', 'tcp+tls', 'tls'] as const;

const schema = {
  ...remoteOptions,
  address: text('gelf-address', { required: true }),
  compressionType: choice('gelf-compression-type', ['gzip', 'zlib', 'none']),
  compressionLevel: integer('gelf-compression-level', { min: -1, max: 9 }),
  /** Docker gives up after so many tries; here it is accepted and nothing is ever given up. */
  maxReconnect: integer('gelf-tcp-max-reconnect', { min: 0, max: 1_000_000 }),
  reconnectDelay: integer('gelf-tcp-reconnect-delay', { min: 0, max: 86_400 }),
  caCert: text('gelf-tls-ca-cert'),
  cert: text('gelf-tls-cert'),
  key: text('gelf-tls-key'),
  skipVerify: text('gelf-tls-skip-verify', { empty: true }),
};

type GelfValues = OptionValues<typeof schema>;

/** go-gelf's default, flate.BestSpeed. */
const defaultLevel = 1;
const streamLagMs = 1000;
const datagramLagMs = 200;

export const gelfDriver: DriverSpec = {
  name,
  prepare(info: LogInfo, knownTag?: string): PreparedLog {
    const values = parseOptions(schema, info.config, { driver: name });
    const limits = remoteLimits(values, name);
    const tag = knownTag ?? renderTag(info, '{{.ID}}', name);
    const servers = parseAddresses(values.address, {
      option: 'gelf-address',
      driver: name,
      protocols,
      defaultPort: undefined,
    });
    const transport = gelfTransport(values, servers);
    const extra = extraFields(info, tag);
    const format = new GelfFormat({
      transport,
      hostname: hostname(),
      extra,
      severity: values.severityFromLine ? lineSeverity : streamSeverity,
    });
    const connectors = servers.map((server) => connector(server, values));
    const acknowledgeLagMs = transport.kind === 'udp' ? datagramLagMs : streamLagMs;
    return {
      tag,
      maxAgeMs: values.maxAge,
      readable: !values.cacheDisabled,
      settings: {
        servers: connectors.map(({ server }) => server).join(', '),
        transport: transport.kind === 'udp' ? `udp, ${transport.compression} ${transport.level}` : 'stream',
        fields: Object.keys(extra).sort().join(', '),
        tag,
        ...remoteSettings(values),
        ...rotationSettings(limits, values.maxAge),
      },
      files: journalFiles,
      recordScanner: () => new JournalScanner(),
      open: (place) => openRemoteLog(place, { driver: name, values, connectors, format, acknowledgeLagMs }),
    };
  },
};

function gelfTransport(values: GelfValues, servers: readonly ServerAddress[]): GelfTransport {
  const udp = servers.filter(({ protocol }) => protocol === 'udp').length;
  if (udp > 0 && udp < servers.length) {
    throw new PluginError('PROTO_OPTION', `${name}: the servers of gelf-address mix udp and stream protocols`, {
      hint: 'use one kind, they frame messages differently',
    });
  }
  if (udp > 0 && (values.maxReconnect !== undefined || values.reconnectDelay !== undefined)) {
    throw new PluginError(
      'PROTO_OPTION',
      `${name}: gelf-tcp-max-reconnect and gelf-tcp-reconnect-delay are for streams only`,
      { hint: 'leave them out: udp has no connections' },
    );
  }
  if (udp > 0)
    return {
      kind: 'udp',
      compression: values.compressionType ?? 'gzip',
      level: values.compressionLevel ?? defaultLevel,
    };
  if (values.compressionType !== undefined || values.compressionLevel !== undefined) {
    throw new PluginError(
      'PROTO_OPTION',
      `${name}: gelf-compression-type and gelf-compression-level are for udp only`,
      {
        hint: 'leave them out: streams are not compressed in GELF',
      },
    );
  }
  return { kind: 'stream' };
}

function extraFields(info: LogInfo, tag: string): Record<string, string> {
  const attributes = Object.entries(findAttributes(info, name)).map(([key, value]): [string, string] => [
    key.startsWith('_') ? key : `_${key}`,
    value,
  ]);
  return {
    _container_id: info.containerId,
    _container_name: containerName(info),
    _image_id: info.containerImageId,
    _image_name: info.containerImageName,
    _command: containerCommand(info),
    _tag: tag,
    _created: info.containerCreated,
    ...Object.fromEntries(attributes),
  };
}

function connector(server: ServerAddress, values: GelfValues): Connector {
  const { protocol, host, port, text: shown } = server;
  if (protocol === 'udp') return datagramConnector(shown, { kind: 'udp', host, port });
  if (protocol === 'tcp') return streamConnector(shown, { kind: 'tcp', host, port });
  const tls: TlsFiles = {
    ca: values.caCert,
    cert: values.cert,
    key: values.key,
    skipVerify: values.skipVerify !== undefined,
  };
  return streamConnector(shown, { kind: 'tcp', host, port, tls });
}
