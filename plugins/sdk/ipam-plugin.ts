/** What an IPAM driver implements. Source: protocol page of IpamDriver, engines 20.10 to 28.5. */

export interface IpamCapabilities {
  readonly requiresMacAddress: boolean;
  readonly requiresRequestReplay: boolean;
}

export interface DefaultAddressSpaces {
  readonly local: string;
  readonly global: string;
}

export interface RequestPoolRequest {
  readonly addressSpace: string;
  /** CIDR; absent: the driver chooses, a different one at every call. */
  readonly pool?: string;
  /** CIDR, `--ip-range`. */
  readonly subPool?: string;
  /** `--ipam-opt`. */
  readonly options: Readonly<Record<string, string>>;
  readonly v6: boolean;
}

export interface RequestPoolReply {
  /** Valid for ever, also over restarts of the driver. */
  readonly poolId: string;
  /** CIDR. */
  readonly pool: string;
  /** CIDR of a gateway chosen here, so that the engine asks for none. */
  readonly gateway?: string;
}

export interface RequestAddressRequest {
  readonly poolId: string;
  /** Bare IP; absent: the driver chooses. */
  readonly address?: string;
  readonly isGateway: boolean;
  /** Colon form; present when the capability asks for it. */
  readonly macAddress?: string;
  /** Swarm: do not hand out just-released addresses at once. */
  readonly serial: boolean;
  /** All options as sent, for drivers that read more (engines of 29 and later send the container's name). */
  readonly options: Readonly<Record<string, string>>;
}

export interface RequestAddressReply {
  /** CIDR with the pool's prefix length. */
  readonly address: string;
}

export interface IpamDriver {
  /** Default: neither. */
  readonly capabilities?: IpamCapabilities;
  /** Default: LocalDefault and GlobalDefault, as the engine's own driver has them. */
  getDefaultAddressSpaces?(signal: AbortSignal): Promise<DefaultAddressSpaces>;
  requestPool(request: RequestPoolRequest, signal: AbortSignal): Promise<RequestPoolReply>;
  releasePool(request: { readonly poolId: string }, signal: AbortSignal): Promise<void>;
  requestAddress(request: RequestAddressRequest, signal: AbortSignal): Promise<RequestAddressReply>;
  /** `address` is a bare IP. */
  releaseAddress(request: { readonly poolId: string; readonly address: string }, signal: AbortSignal): Promise<void>;
}
