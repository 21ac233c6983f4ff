/** Prometheus metrics, per container and per destination; read off when they are asked for, so that the hot path counts nothing twice. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ContainerLog } from './container-log.ts';
import type { LogSessions } from './sessions.ts';

export function registerLogMetrics(registry: Registry, sessions: LogSessions): void {
  const perContainer = (name: string, help: string, value: (log: ContainerLog) => number): void => {
    new Counter({
      name,
      help,
      labelNames: ['container', 'name', 'driver'],
      registers: [registry],
      collect() {
        this.reset();
        for (const log of sessions.openLogs) {
          this.inc(
            { container: log.containerId.slice(0, 12), name: log.containerName, driver: log.driver },
            value(log),
          );
        }
      },
    });
  };
  perContainer('cleat_log_lines_total', 'Entries written to disk', ({ writer }) => writer.written.lines);
  perContainer('cleat_log_bytes_total', 'Bytes of log text written to disk', ({ writer }) => writer.written.bytes);
  perContainer(
    'cleat_log_damaged_frames_total',
    'Places in the FIFO that held no entry',
    ({ damaged }) => damaged.places,
  );
  perContainer(
    'cleat_log_dropped_lines_total',
    'Lines dropped: disk full, or spool full',
    ({ drops, delivery }) => drops.total.lines + (delivery?.stats().droppedLines ?? 0),
  );

  const perDestination = (
    name: string,
    help: string,
    value: (log: NonNullable<ContainerLog['delivery']>) => number,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['container', 'name', 'destination'],
      registers: [registry],
      collect() {
        this.reset();
        for (const log of sessions.openLogs) {
          if (log.delivery === undefined) continue;
          const { destination } = log.delivery.stats();
          this.set(
            { container: log.containerId.slice(0, 12), name: log.containerName, destination },
            value(log.delivery),
          );
        }
      },
    });
  };
  perDestination(
    'cleat_log_sent_lines',
    'Messages handed to the server since the daemon started',
    (delivery) => delivery.stats().sentLines,
  );
  perDestination(
    'cleat_log_sent_bytes',
    'Bytes of log text handed to the server',
    (delivery) => delivery.stats().sentBytes,
  );
  perDestination(
    'cleat_log_spooled_bytes',
    'On disk and not confirmed by the server',
    (delivery) => delivery.stats().spooledBytes,
  );
  perDestination(
    'cleat_log_lag_seconds',
    'Age of the newest line sent, while more waits',
    (delivery) => delivery.stats().lagMs / 1000,
  );
  perDestination('cleat_log_reconnects', 'Connections that failed', (delivery) => delivery.stats().reconnects);

  new Gauge({
    name: 'cleat_log_sessions',
    help: 'Open log sessions',
    registers: [registry],
    collect() {
      this.set(sessions.openLogs.reduce((sum, log) => sum + log.sessions, 0));
    },
  });
  new Counter({
    name: 'cleat_log_read_damaged_bytes_total',
    help: 'Damaged bytes passed over while logs were read',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(sessions.damagedBytesRead);
    },
  });
}
