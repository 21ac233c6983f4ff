/** A plugin: one name, one socket, one or more kinds of driver behind it. */
import type { IpamDriver } from './ipam-plugin.ts';
import type { LogDriver } from './log-plugin.ts';
import type { NetworkDriver } from './network-plugin.ts';
import type { VolumeDriver } from './volume-plugin.ts';

export interface Plugin {
  /** The driver's name for users, and the name of its socket file. */
  readonly name: string;
  readonly network?: NetworkDriver;
  readonly ipam?: IpamDriver;
  readonly volume?: VolumeDriver;
  readonly log?: LogDriver;
  /** Other deadlines than the default, in milliseconds by `Subsystem.Method`; the manual page says why. */
  readonly deadlinesMs?: Readonly<Record<string, number>>;
}
