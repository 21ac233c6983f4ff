/** What a volume driver implements. Source: protocol page of VolumeDriver, engines 20.10 to 28.5, Podman 5.8. */
import type { Scope } from './network-plugin.ts';

export interface Volume {
  readonly name: string;
  /** Absolute path, absent while nothing is mounted. */
  readonly mountpoint?: string;
  readonly createdAt?: Date;
  /** Any JSON object; `docker volume inspect` shows it. */
  readonly status?: Readonly<Record<string, unknown>>;
}

/** `id` names one mount point of one container while it is active; it is not unique per call. */
export interface MountRequest {
  readonly name: string;
  readonly id: string;
}

export interface VolumeDriver {
  /** Default: local. */
  readonly capabilities?: { readonly scope: Scope };
  create(
    request: { readonly name: string; readonly options: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<void>;
  /** undefined: no such volume. */
  get(request: { readonly name: string }, signal: AbortSignal): Promise<Volume | undefined>;
  list(signal: AbortSignal): Promise<readonly Volume[]>;
  /** Returns an absolute path. */
  mount(request: MountRequest, signal: AbortSignal): Promise<string>;
  /** Success for an unknown volume or id. Default: nothing to do, for volumes that are always there. */
  unmount?(request: MountRequest, signal: AbortSignal): Promise<void>;
  /** Where the volume is mounted now; undefined while it is not. Default: what `get` says. */
  path?(request: { readonly name: string }, signal: AbortSignal): Promise<string | undefined>;
  remove(request: { readonly name: string }, signal: AbortSignal): Promise<void>;
  /** An engine (re)started and activated the plugin. Podman activates at every command: `client` tells them apart. */
  activated?(client: 'docker' | 'podman' | 'other'): void;
}
