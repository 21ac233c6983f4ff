/** NetworkDriver: every method of engines 20.10 to 28.5 on the wire. The driver's side is network-plugin.ts. */
import type {
  AllocateNetworkRequest,
  CreateEndpointRequest,
  CreateNetworkRequest,
  DiscoverRequest,
  EndpointInterface,
  EndpointRequest,
  GwAllocCheckReply,
  GwAllocCheckRequest,
  IpamData,
  JoinReply,
  JoinRequest,
  NetworkCapabilities,
  NetworkDriver,
  ProgramExternalConnectivityRequest,
} from '../network-plugin.ts';
import { checkInterfaceReply, decodeInterface, encodeInterface } from './endpoint-interface.ts';
import { decodeJoinReply, encodeJoinReply } from './join-reply.ts';
import { defineMethod, emptyReply, type Locks, type Method, refuseReply } from './method.ts';
import { decodePorts, EXPOSED_PORTS, encodePorts, PORT_MAP } from './ports.ts';
import { present, type WireObject, type WireReader } from './wire.ts';

const GENERIC = 'com.docker.network.generic';
const ENABLE_IPV4 = 'com.docker.network.enable_ipv4';
const ENABLE_IPV6 = 'com.docker.network.enable_ipv6';
const INTERNAL = 'com.docker.network.internal';
const ENDPOINT_MAC = 'com.docker.network.endpoint.macaddress';
const NO_PROXY_6TO4 = 'com.docker.network.driver.private.no_proxy_6to4';

function method<Request, Reply>(
  spec: Parameters<typeof defineMethod<NetworkDriver, Request, Reply>>[0],
): Method<NetworkDriver, Request, Reply> {
  return defineMethod(spec);
}

const networkLocks = (request: { readonly networkId: string }): Locks => ({
  exclusive: [`network ${request.networkId}`],
});

/** Endpoints of one network run side by side; making and deleting the network waits for all of them. */
const endpointLocks = (request: EndpointRequest): Locks => ({
  shared: [`network ${request.networkId}`],
  exclusive: [`endpoint ${request.endpointId}`],
});

function decodeScope(body: WireReader, name: string): 'local' | 'global' | undefined {
  const scope = body.optionalText(name);
  if (scope === undefined || scope === 'local' || scope === 'global') return scope;
  return body.refuse(name, '"local" or "global"');
}

function decodeIpamData(reader: WireReader): IpamData {
  return {
    addressSpace: reader.text('AddressSpace'),
    pool: reader.requiredText('Pool'),
    ...present('gateway', reader.optionalText('Gateway')),
    auxAddresses: reader.textMap('AuxAddresses'),
  };
}

function encodeIpamData(data: IpamData): WireObject {
  return {
    AddressSpace: data.addressSpace,
    Pool: data.pool,
    ...present('Gateway', data.gateway),
    ...(Object.keys(data.auxAddresses).length > 0 ? { AuxAddresses: data.auxAddresses } : {}),
  };
}

function decodeNetworkOptions(options: WireReader): GwAllocCheckRequest {
  return {
    options: options.textMap(GENERIC),
    enableIPv4: options.flag(ENABLE_IPV4, true),
    enableIPv6: options.flag(ENABLE_IPV6),
    internal: options.flag(INTERNAL),
  };
}

function encodeNetworkOptions(request: GwAllocCheckRequest): WireObject {
  return {
    [ENABLE_IPV4]: request.enableIPv4,
    [ENABLE_IPV6]: request.enableIPv6,
    ...(request.internal ? { [INTERNAL]: true } : {}),
    [GENERIC]: request.options,
  };
}

function decodeEndpoint(body: WireReader): EndpointRequest {
  return { networkId: body.identifier('NetworkID'), endpointId: body.identifier('EndpointID') };
}

function encodeEndpoint(request: EndpointRequest): WireObject {
  return { NetworkID: request.networkId, EndpointID: request.endpointId };
}

const decodeNetworkId = (body: WireReader): { readonly networkId: string } => ({
  networkId: body.identifier('NetworkID'),
});

const encodeNetworkId = (request: { readonly networkId: string }): WireObject => ({ NetworkID: request.networkId });

/** User options are strings; the engine's own (`com.docker.network.*`) may be anything and are not options. */
function decodeEndpointOptions(options: WireReader): Record<string, string> {
  const known = new Set([EXPOSED_PORTS, PORT_MAP, ENDPOINT_MAC]);
  const entries: [string, string][] = [];
  for (const key of options.keys) {
    if (known.has(key)) continue;
    const value = options.raw(key) ?? '';
    if (typeof value === 'string') entries.push([key, value]);
    else if (!key.startsWith('com.docker.network.')) options.refuse(key, 'a string');
  }
  return Object.fromEntries(entries);
}

/** The user's MAC travels twice: in colon form in Interface and as base64 of its 6 bytes in Options. */
function encodeOptionMac(request: CreateEndpointRequest): WireObject {
  const { macAddress } = request.interface;
  if (macAddress === undefined || !request.macAddressByUser) return {};
  return { [ENDPOINT_MAC]: Buffer.from(macAddress.replaceAll(/[^0-9a-fA-F]/g, ''), 'hex').toString('base64') };
}

function decodeOtherOptions(options: WireReader, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(options.keys.filter((key) => !known.includes(key)).map((key) => [key, options.raw(key)]));
}

const decodeDiscover = (body: WireReader): DiscoverRequest => ({
  discoveryType: body.integer('DiscoveryType', 0, 255),
  data: body.plain('DiscoveryData'),
});

const encodeDiscover = (request: DiscoverRequest): WireObject => ({
  DiscoveryType: request.discoveryType,
  DiscoveryData: request.data,
});

export const networkMethods = {
  getCapabilities: method<undefined, NetworkCapabilities>({
    name: 'NetworkDriver.GetCapabilities',
    encodeRequest: () => undefined,
    handler: (driver) => async () => driver.capabilities ?? { scope: 'local' },
    encodeReply: ({ scope, connectivityScope = scope, gwAllocChecker = false }) => ({
      Scope: scope,
      ConnectivityScope: connectivityScope,
      GwAllocChecker: gwAllocChecker,
    }),
    decodeReply: (body) => ({
      scope: decodeScope(body, 'Scope') ?? body.refuse('Scope', '"local" or "global"'),
      ...present('connectivityScope', decodeScope(body, 'ConnectivityScope')),
      gwAllocChecker: body.flag('GwAllocChecker'),
    }),
  }),
  gwAllocCheck: method<GwAllocCheckRequest, GwAllocCheckReply>({
    name: 'NetworkDriver.GwAllocCheck',
    decodeRequest: (body) => decodeNetworkOptions(body.object('Options')),
    encodeRequest: (request) => ({ Options: encodeNetworkOptions(request) }),
    handler: (driver) => driver.gwAllocCheck?.bind(driver),
    encodeReply: (reply) => ({ SkipIPv4: reply.skipIPv4, SkipIPv6: reply.skipIPv6 }),
    decodeReply: (body) => ({ skipIPv4: body.flag('SkipIPv4'), skipIPv6: body.flag('SkipIPv6') }),
  }),
  createNetwork: method<CreateNetworkRequest, void>({
    name: 'NetworkDriver.CreateNetwork',
    decodeRequest: (body) => ({
      ...decodeNetworkId(body),
      ...decodeNetworkOptions(body.object('Options')),
      ipv4: body.objects('IPv4Data').map(decodeIpamData),
      ipv6: body.objects('IPv6Data').map(decodeIpamData),
    }),
    encodeRequest: (request) => ({
      NetworkID: request.networkId,
      Options: encodeNetworkOptions(request),
      IPv4Data: request.ipv4.map(encodeIpamData),
      IPv6Data: request.ipv6.map(encodeIpamData),
    }),
    handler: (driver) => driver.createNetwork.bind(driver),
    ...emptyReply,
    locks: networkLocks,
  }),
  deleteNetwork: method<{ readonly networkId: string }, void>({
    name: 'NetworkDriver.DeleteNetwork',
    decodeRequest: decodeNetworkId,
    encodeRequest: encodeNetworkId,
    handler: (driver) => driver.deleteNetwork.bind(driver),
    ...emptyReply,
    locks: networkLocks,
  }),
  createEndpoint: method<CreateEndpointRequest, EndpointInterface>({
    name: 'NetworkDriver.CreateEndpoint',
    decodeRequest: (body) => ({
      ...decodeEndpoint(body),
      interface: decodeInterface(body.object('Interface')),
      ...(body.object('Options').raw(ENDPOINT_MAC) === undefined ? {} : { macAddressByUser: true }),
      ...decodePorts(body.object('Options')),
      options: decodeEndpointOptions(body.object('Options')),
    }),
    encodeRequest: (request) => ({
      ...encodeEndpoint(request),
      Interface: encodeInterface(request.interface),
      Options: { ...request.options, ...encodeOptionMac(request), ...encodePorts(request) },
    }),
    handler: (driver) => driver.createEndpoint.bind(driver),
    encodeReply: (reply, request) => checkInterfaceReply('NetworkDriver.CreateEndpoint', reply, request.interface),
    decodeReply: (body) => decodeInterface(body.object('Interface')),
    locks: endpointLocks,
  }),
  deleteEndpoint: method<EndpointRequest, void>({
    name: 'NetworkDriver.DeleteEndpoint',
    decodeRequest: decodeEndpoint,
    encodeRequest: encodeEndpoint,
    handler: (driver) => driver.deleteEndpoint.bind(driver),
    ...emptyReply,
    locks: endpointLocks,
  }),
  /** Takes no lock: it comes at any moment, and a slow join must not hold it up. */
  endpointOperInfo: method<EndpointRequest, Readonly<Record<string, unknown>>>({
    name: 'NetworkDriver.EndpointOperInfo',
    decodeRequest: decodeEndpoint,
    encodeRequest: encodeEndpoint,
    handler: (driver) => driver.endpointOperInfo?.bind(driver) ?? (async () => ({})),
    encodeReply: (value) => ({ Value: value }),
    decodeReply: (body) => body.plain('Value'),
  }),
  join: method<JoinRequest, JoinReply>({
    name: 'NetworkDriver.Join',
    decodeRequest: (body) => ({
      ...decodeEndpoint(body),
      sandboxKey: body.absolutePath('SandboxKey'),
      ...decodePorts(body.object('Options')),
      options: decodeOtherOptions(body.object('Options'), [EXPOSED_PORTS, PORT_MAP]),
    }),
    encodeRequest: (request) => ({
      ...encodeEndpoint(request),
      SandboxKey: request.sandboxKey,
      Options: { ...request.options, ...encodePorts(request) },
    }),
    handler: (driver) => driver.join.bind(driver),
    encodeReply: (reply) => encodeJoinReply('NetworkDriver.Join', reply),
    decodeReply: decodeJoinReply,
    locks: endpointLocks,
  }),
  leave: method<EndpointRequest, void>({
    name: 'NetworkDriver.Leave',
    decodeRequest: decodeEndpoint,
    encodeRequest: encodeEndpoint,
    handler: (driver) => driver.leave?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
    locks: endpointLocks,
  }),
  programExternalConnectivity: method<ProgramExternalConnectivityRequest, void>({
    name: 'NetworkDriver.ProgramExternalConnectivity',
    decodeRequest: (body) => ({
      ...decodeEndpoint(body),
      ...decodePorts(body.object('Options')),
      noProxy6To4: body.object('Options').flag(NO_PROXY_6TO4),
    }),
    encodeRequest: (request) => ({
      ...encodeEndpoint(request),
      Options: { ...encodePorts(request), ...(request.noProxy6To4 ? { [NO_PROXY_6TO4]: true } : {}) },
    }),
    handler: (driver) => driver.programExternalConnectivity?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
    locks: endpointLocks,
    fallback: { on: 'missing', reply: undefined },
  }),
  revokeExternalConnectivity: method<EndpointRequest, void>({
    name: 'NetworkDriver.RevokeExternalConnectivity',
    decodeRequest: decodeEndpoint,
    encodeRequest: encodeEndpoint,
    handler: (driver) => driver.revokeExternalConnectivity?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
    locks: endpointLocks,
    fallback: { on: 'missing', reply: undefined },
  }),
  discoverNew: method<DiscoverRequest, void>({
    name: 'NetworkDriver.DiscoverNew',
    decodeRequest: decodeDiscover,
    encodeRequest: encodeDiscover,
    // Sent only to drivers with global connectivity; whoever does not care says nothing, which is success.
    handler: (driver) => driver.discoverNew?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
  }),
  discoverDelete: method<DiscoverRequest, void>({
    name: 'NetworkDriver.DiscoverDelete',
    decodeRequest: decodeDiscover,
    encodeRequest: encodeDiscover,
    handler: (driver) => driver.discoverDelete?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
  }),
  /** Options are the flat `-o` map here, not nested under `generic`, and the reply's replace them. */
  allocateNetwork: method<AllocateNetworkRequest, Readonly<Record<string, string>>>({
    name: 'NetworkDriver.AllocateNetwork',
    decodeRequest: (body) => ({
      ...decodeNetworkId(body),
      options: body.textMap('Options'),
      ipv4: body.objects('IPv4Data').map(decodeIpamData),
      ipv6: body.objects('IPv6Data').map(decodeIpamData),
    }),
    encodeRequest: (request) => ({
      NetworkID: request.networkId,
      Options: request.options,
      IPv4Data: request.ipv4.map(encodeIpamData),
      IPv6Data: request.ipv6.map(encodeIpamData),
    }),
    handler: (driver) => driver.allocateNetwork?.bind(driver),
    encodeReply: (options, request) =>
      Object.values(options).every((value) => typeof value === 'string')
        ? { Options: options }
        : refuseReply('NetworkDriver.AllocateNetwork', `options of ${request.networkId} must be strings`),
    decodeReply: (body) => body.textMap('Options'),
    locks: networkLocks,
  }),
  freeNetwork: method<{ readonly networkId: string }, void>({
    name: 'NetworkDriver.FreeNetwork',
    decodeRequest: decodeNetworkId,
    encodeRequest: encodeNetworkId,
    handler: (driver) => driver.freeNetwork?.bind(driver),
    ...emptyReply,
    locks: networkLocks,
  }),
} as const;
