/** Everything that the verbs share: where things are, what is known, who is told. Made once in service.ts. */
import type { Logger } from 'pino';
import type { Store } from '../plugins/store/store.ts';
import type { ShimConfig } from './config/config.ts';
import type { ContainerRegistry } from './container/registry.ts';
import type { EventLog } from './events.ts';
import type { ImageStore } from './image/image-store.ts';
import type { NetworkRegistry } from './network/registry.ts';
import type { Plugins } from './plugin/plugins.ts';
import type { OciRuntime } from './runtime/oci-runtime.ts';
import type { VolumeRegistry } from './volume/registry.ts';

export interface Engine {
  /** Replaced as a whole when the configuration is read again. */
  config: ShimConfig;
  readonly log: Logger;
  readonly store: Store;
  readonly containers: ContainerRegistry;
  readonly images: ImageStore;
  readonly networks: NetworkRegistry;
  readonly volumes: VolumeRegistry;
  readonly plugins: Plugins;
  readonly events: EventLog;
  /** Replaced as a whole when the configuration is read again. */
  runtimes: ReadonlyMap<string, OciRuntime>;
}
