/** Prometheus metrics, per container and per destination; read off when they are asked for, so that the hot path counts nothing twice. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ContainerLog } from './container-log.ts';
import type { DeliveryStats } from './delivery/delivery.ts';
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

  const destinationLabels = ['container', 'name', 'destination'] as const;
  const forDestinations = (
    visit: (labels: Record<(typeof destinationLabels)[number], string>, stats: DeliveryStats) => void,
  ): void => {
    for (const { containerId, containerName, delivery } of sessions.openLogs) {
      if (delivery === undefined) continue;
      const stats = delivery.stats();
      visit({ container: containerId.slice(0, 12), name: containerName, destination: stats.destination }, stats);
    }
  };
  const counted = (name: string, help: string, value: (stats: DeliveryStats) => number): void => {
    new Counter({
      name,
      help,
      labelNames: destinationLabels,
      registers: [registry],
      collect() {
        this.reset();
        forDestinations((labels, stats) => this.inc(labels, value(stats)));
      },
    });
  };
  const measured = (name: string, help: string, value: (stats: DeliveryStats) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: destinationLabels,
      registers: [registry],
      collect() {
        this.reset();
        forDestinations((labels, stats) => this.set(labels, value(stats)));
      },
    });
  };
  counted('cleat_log_sent_lines_total', 'Messages handed to the server', ({ sentLines }) => sentLines);
  counted('cleat_log_sent_bytes_total', 'Bytes of log text handed to the server', ({ sentBytes }) => sentBytes);
  counted('cleat_log_reconnects_total', 'Connections that failed', ({ reconnects }) => reconnects);
  measured('cleat_log_spooled_bytes', 'On disk and not confirmed by the server', ({ spooledBytes }) => spooledBytes);
  measured(
    'cleat_log_lag_seconds',
    'Age of the oldest line that the server has not confirmed',
    ({ lagMs }) => lagMs / 1000,
  );

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
