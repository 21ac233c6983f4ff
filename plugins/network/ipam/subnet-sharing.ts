/** Who says which part of a subnet is this host's, where several hosts have the same one (`--ipam-opt cleat.network=NAME`). */
import type { Cidr } from '../address/cidr.ts';

export interface SubnetSharing {
  /** The part that is this host's for good; undefined where hosts claim blocks as they need them. */
  part(pool: Cidr): Cidr | undefined;
  /** The blocks of the subnet that are this host's at the moment. */
  held(network: string, pool: string): readonly Cidr[];
  /** Throws when the host has been away for so long that what it held may be another's. */
  check(): void;
  /** One block more. Throws when there is none, or nobody can be asked. */
  claim(network: string, pool: string): Promise<void>;
  /** Gives all of them back. */
  release(network: string, pool: string): void;
}
