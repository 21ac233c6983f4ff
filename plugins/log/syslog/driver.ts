/** cleat-syslog: Docker's syslog driver with a journal in front, and what that driver lacks. */
import { hostname } from 'node:os';
import type { LogInfo } from '../../sdk/log-plugin.ts';
import { choice, custom, text } from '../../sdk/option-kinds.ts';
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
import { renderTag } from '../tag.ts';
import { type Framing, SyslogFormat, structuredElement, syslogFormats } from './format.ts';
import { localSyslogConnector } from './local.ts';

const name = 'cleat-syslog';
const protocols = ['udp', 'tcp', 'tcp+tls', 'unix', 'unixgram'] as const;

/** RFC 5424 §6.2.1, by the names of syslog.conf. */
const facilities = [
  'kern',
  'user',
  'mail',
  'daemon',
  'auth',
  'syslog',
  'lpr',
  'news',
  'uucp',
  'cron',
  'authpriv',
  'ftp',
  '',
  '',
  '',
  '',
  'local0',
  'local1',
  'local2',
  'local3',
  'local4',
  'local5',
  'local6',
  'local7',
];
const daemonFacility = 3;

const facility = {
  expected: `a number from 0 to 23 or one of ${facilities.filter((word) => word !== '').join(', ')}`,
  find(value: string): number | undefined {
    if (value === '') return daemonFacility;
    if (/^\d{1,2}$/.test(value) && Number(value) <= 23) return Number(value);
    const found = facilities.indexOf(value);
    return found === -1 ? undefined : found;
  },
};

const schema = {
  ...remoteOptions,
  address: text('syslog-address', { empty: true }),
  facility: custom('syslog-facility', facility, { otherwise: daemonFacility }),
  format: choice('syslog-format', ['', ...syslogFormats]),
  framing: choice('syslog-framing', ['newline', 'octet-counting']),
  hostname: text('syslog-hostname', {
    pattern: /^[!-~]{1,255}$/,
    expected: 'up to 255 printable characters without blanks',
  }),
  structuredData: text('syslog-structured-data', {
    pattern: /^[!#-<>-\\^-~]{1,32}$/,
    expected: 'an SD-ID such as docker@32473',
  }),
  caCert: text('syslog-tls-ca-cert'),
  cert: text('syslog-tls-cert'),
  key: text('syslog-tls-key'),
  /** Docker looks only at whether it is there. */
  skipVerify: text('syslog-tls-skip-verify', { empty: true }),
};

type SyslogValues = OptionValues<typeof schema>;

/** Header, text and newline of one UDP datagram over IPv4; a unix datagram may hold about 200 KB. */
const maxUdpBytes = 65_507;
const maxUnixDatagramBytes = 200_000;
/** Room for what stands before the text. */
const headRoomBytes = 2048;
const streamLagMs = 1000;
const datagramLagMs = 200;

export const syslogDriver: DriverSpec = {
  name,
  prepare(info: LogInfo, knownTag?: string): PreparedLog {
    const values = parseOptions(schema, info.config, { driver: name });
    const limits = remoteLimits(values, name);
    const tag = knownTag ?? renderTag(info, '{{.ID}}', name);
    const servers = values.address
      ? parseAddresses(values.address, { option: 'syslog-address', driver: name, protocols, defaultPort: 514 })
      : [];
    const datagrams = servers.length === 0 || servers.some(({ protocol }) => isDatagram(protocol));
    const format = new SyslogFormat({
      format: values.format ?? '',
      framing: framing(values, servers, datagrams),
      facility: values.facility,
      hostname: values.hostname ?? hostname(),
      tag,
      processId: process.pid,
      structuredData: structuredData(values, info),
      severity: values.severityFromLine ? lineSeverity : streamSeverity,
      maxBytes: maxMessageBytes(servers, datagrams),
    });
    const connectors =
      servers.length === 0 ? [localSyslogConnector] : servers.map((server) => connector(server, values));
    return {
      tag,
      maxAgeMs: values.maxAge,
      readable: !values.cacheDisabled,
      settings: {
        servers: connectors.map(({ server }) => server).join(', '),
        format: values.format || 'local (time and tag)',
        framing: framing(values, servers, datagrams),
        facility: `${values.facility} (${facilities[values.facility]})`,
        tag,
        'structured data': structuredData(values, info),
        ...remoteSettings(values),
        ...rotationSettings(limits, values.maxAge),
      },
      files: journalFiles,
      recordScanner: () => new JournalScanner(),
      open: (place) =>
        openRemoteLog(place, {
          driver: name,
          values,
          connectors,
          format,
          acknowledgeLagMs: datagrams ? datagramLagMs : streamLagMs,
          maxLineBytes: maxMessageBytes(servers, datagrams) - headRoomBytes,
        }),
    };
  },
};

function isDatagram(protocol: string): boolean {
  return protocol === 'udp' || protocol === 'unixgram';
}

/** As Docker: octet counting for RFC 5424 over TLS (RFC 5425), a newline otherwise. */
function framing(values: SyslogValues, servers: readonly ServerAddress[], datagrams: boolean): Framing {
  if (datagrams) return 'datagram';
  if (values.framing !== undefined) return values.framing;
  const tls = servers.some(({ protocol }) => protocol === 'tcp+tls');
  return tls && values.format?.startsWith('rfc5424') ? 'octet-counting' : 'newline';
}

function maxMessageBytes(servers: readonly ServerAddress[], datagrams: boolean): number {
  if (!datagrams) return Number.MAX_SAFE_INTEGER;
  return servers.some(({ protocol }) => protocol === 'udp') ? maxUdpBytes : maxUnixDatagramBytes;
}

function structuredData(values: SyslogValues, info: LogInfo): string {
  if (values.structuredData === undefined) return '-';
  return structuredElement(values.structuredData, findAttributes(info, name));
}

function connector(server: ServerAddress, values: SyslogValues): Connector {
  const { protocol, host, port, path, text: shown } = server;
  if (protocol === 'unix') return streamConnector(shown, { kind: 'unix', path });
  if (protocol === 'unixgram') return datagramConnector(shown, { kind: 'unixgram', path });
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
