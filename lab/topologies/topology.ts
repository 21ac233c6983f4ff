/** A topology: hosts in namespaces and how they are connected. Its file exports `topology`; `lab/topology NAME` builds it. */
import type { Host } from '../../test/support/host.ts';

export interface BuiltTopology {
  /** By the names that the drawing uses. */
  readonly hosts: Readonly<Record<string, Host>>;
  close(): Promise<void>;
}

export interface Topology {
  readonly about: string;
  /** As people read it. */
  readonly drawing: string;
  build(): Promise<BuiltTopology>;
}
