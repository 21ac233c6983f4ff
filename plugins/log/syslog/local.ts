/** Without an address: the host's own syslog socket, where Go's syslog package looks for it. */
import type { Connector } from '../delivery/connection.ts';
import { datagramConnector } from '../delivery/datagram-connection.ts';
import { streamConnector } from '../delivery/stream-connection.ts';

const paths = ['/dev/log', '/var/run/syslog', '/var/run/log'];

export const localSyslogConnector: Connector = {
  server: 'the local syslog socket',
  async connect(signal) {
    const candidates = [
      ...paths.map((path) => datagramConnector(`unixgram://${path}`, { kind: 'unixgram', path })),
      ...paths.map((path) => streamConnector(`unix://${path}`, { kind: 'unix', path })),
    ];
    let failure: unknown;
    for (const candidate of candidates) {
      try {
        return await candidate.connect(signal);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  },
};
