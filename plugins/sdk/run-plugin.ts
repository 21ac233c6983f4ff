/** A whole plugin process in one call: listens, tells systemd, ends on SIGTERM and SIGINT. Daemons of several plugins have daemon.ts. */
import { type Listening, listenPlugin, type Place } from './listen.ts';
import { notifySystemd } from './notify.ts';
import type { Plugin } from './plugin.ts';
import type { ServeOptions } from './serve.ts';

/** Where engines look for sockets first. */
const pluginDir = '/run/docker/plugins';

/**
 * Default place: `/run/docker/plugins/NAME.sock`. A first SIGTERM or SIGINT finishes running calls and takes the socket away,
 * after which the process ends by itself unless something of yours keeps it. Throws what `listenPlugin` throws.
 */
export async function runPlugin(plugin: Plugin, options: ServeOptions & Partial<Place> = {}): Promise<Listening> {
  const elsewhere = options.pluginDir ?? options.socketPath ?? options.tcp;
  const listening = await listenPlugin(
    plugin,
    (elsewhere === undefined ? { ...options, pluginDir } : options) as ServeOptions & Place,
  );
  notifySystemd('READY=1', options.log);
  const end = () => {
    notifySystemd('STOPPING=1', options.log);
    void listening.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end);
  return listening;
}
