/** IpamDriver on the wire. The driver's side is ipam-plugin.ts. Errors travel in `Error`; see serve.ts. */
import type {
  DefaultAddressSpaces,
  IpamCapabilities,
  IpamDriver,
  RequestAddressReply,
  RequestAddressRequest,
  RequestPoolReply,
  RequestPoolRequest,
} from '../ipam-plugin.ts';
import { isAddress, isCidr } from './address-form.ts';
import { defineMethod, emptyReply, type Method, refuseReply } from './method.ts';
import { present, type WireReader } from './wire.ts';

const GATEWAY = 'com.docker.network.gateway';
const ADDRESS_TYPE = 'RequestAddressType';
const SERIAL = 'com.docker.network.ipam.serial';
const ENDPOINT_MAC = 'com.docker.network.endpoint.macaddress';
/** Held while pools appear or vanish: each request without a pool must get a different one. */
const ALL_POOLS = 'pools';

function method<Request, Reply>(
  spec: Parameters<typeof defineMethod<IpamDriver, Request, Reply>>[0],
): Method<IpamDriver, Request, Reply> {
  return defineMethod(spec);
}

/** Pool identifiers are the driver's own text, which came back from the engine's store. */
const poolId = (body: WireReader): string => body.requiredText('PoolID');
const poolKey = (id: string): string => `pool ${id}`;

function optionalCidr(body: WireReader, name: string): string | undefined {
  const text = body.optionalText(name);
  return text === undefined || isCidr(text) ? text : body.refuse(name, 'an address range in CIDR form');
}

function optionalAddress(body: WireReader, name: string): string | undefined {
  const text = body.optionalText(name);
  return text === undefined || isAddress(text) ? text : body.refuse(name, 'an IP address');
}

export const ipamMethods = {
  getCapabilities: method<undefined, IpamCapabilities>({
    name: 'IpamDriver.GetCapabilities',
    encodeRequest: () => undefined,
    handler: (driver) => async () => driver.capabilities ?? { requiresMacAddress: false, requiresRequestReplay: false },
    encodeReply: (reply) => ({
      RequiresMACAddress: reply.requiresMacAddress,
      RequiresRequestReplay: reply.requiresRequestReplay,
    }),
    decodeReply: (body) => ({
      requiresMacAddress: body.flag('RequiresMACAddress'),
      requiresRequestReplay: body.flag('RequiresRequestReplay'),
    }),
    fallback: { on: 'error', reply: { requiresMacAddress: false, requiresRequestReplay: false } },
  }),
  getDefaultAddressSpaces: method<undefined, DefaultAddressSpaces>({
    name: 'IpamDriver.GetDefaultAddressSpaces',
    encodeRequest: () => undefined,
    handler: (driver) => async (_, signal) =>
      driver.getDefaultAddressSpaces?.(signal) ?? { local: 'LocalDefault', global: 'GlobalDefault' },
    encodeReply: (reply) => ({
      LocalDefaultAddressSpace: reply.local,
      GlobalDefaultAddressSpace: reply.global,
    }),
    decodeReply: (body) => ({
      local: body.text('LocalDefaultAddressSpace'),
      global: body.text('GlobalDefaultAddressSpace'),
    }),
  }),
  requestPool: method<RequestPoolRequest, RequestPoolReply>({
    name: 'IpamDriver.RequestPool',
    decodeRequest: (body) => {
      // Engines send all five fields. None at all is the shape of a retry that lost its body, never "any pool".
      const isEmpty = ['AddressSpace', 'Pool', 'SubPool', 'Options', 'V6'].every(
        (name) => body.raw(name) === undefined,
      );
      if (isEmpty) body.refuse('AddressSpace', 'a string beside Pool, SubPool, Options and V6');
      return {
        addressSpace: body.text('AddressSpace'),
        ...present('pool', optionalCidr(body, 'Pool')),
        ...present('subPool', optionalCidr(body, 'SubPool')),
        options: body.textMap('Options'),
        v6: body.flag('V6'),
      };
    },
    encodeRequest: (request) => ({
      AddressSpace: request.addressSpace,
      Pool: request.pool ?? '',
      SubPool: request.subPool ?? '',
      Options: request.options,
      V6: request.v6,
    }),
    handler: (driver) => driver.requestPool.bind(driver),
    encodeReply: (reply) => {
      if (reply.poolId === '') refuseReply('IpamDriver.RequestPool', 'the pool has no identifier');
      if (!isCidr(reply.pool)) refuseReply('IpamDriver.RequestPool', `pool "${reply.pool}" is not in CIDR form`);
      if (reply.gateway && !isCidr(reply.gateway)) {
        refuseReply('IpamDriver.RequestPool', `gateway "${reply.gateway}" is not in CIDR form`);
      }
      // The engine takes an empty gateway for an error, so the key stays out.
      return { PoolID: reply.poolId, Pool: reply.pool, Data: reply.gateway ? { [GATEWAY]: reply.gateway } : {} };
    },
    decodeReply: (body) => ({
      poolId: body.text('PoolID'),
      pool: optionalCidr(body, 'Pool') ?? body.refuse('Pool', 'an address range in CIDR form'),
      ...present('gateway', optionalCidr(body.object('Data'), GATEWAY)),
    }),
    locks: () => ({ exclusive: [ALL_POOLS] }),
  }),
  releasePool: method<{ readonly poolId: string }, void>({
    name: 'IpamDriver.ReleasePool',
    decodeRequest: (body) => ({ poolId: poolId(body) }),
    encodeRequest: (request) => ({ PoolID: request.poolId }),
    handler: (driver) => driver.releasePool.bind(driver),
    ...emptyReply,
    locks: (request) => ({ exclusive: [ALL_POOLS, poolKey(request.poolId)] }),
  }),
  requestAddress: method<RequestAddressRequest, RequestAddressReply>({
    name: 'IpamDriver.RequestAddress',
    decodeRequest: (body) => {
      const options = body.textMap('Options');
      return {
        poolId: poolId(body),
        ...present('address', optionalAddress(body, 'Address')),
        isGateway: options[ADDRESS_TYPE] === GATEWAY,
        ...present('macAddress', options[ENDPOINT_MAC] || undefined),
        serial: options[SERIAL] === 'true',
        options,
      };
    },
    encodeRequest: (request) => ({
      PoolID: request.poolId,
      Address: request.address ?? '',
      Options: encodeAddressOptions(request),
    }),
    handler: (driver) => driver.requestAddress.bind(driver),
    encodeReply: (reply) =>
      isCidr(reply.address)
        ? { Address: reply.address, Data: {} }
        : refuseReply('IpamDriver.RequestAddress', `address "${reply.address}" is not in CIDR form`),
    decodeReply: (body) => ({
      address: optionalCidr(body, 'Address') ?? body.refuse('Address', "a CIDR with the pool's prefix length"),
    }),
    locks: (request) => ({ exclusive: [poolKey(request.poolId)] }),
  }),
  releaseAddress: method<{ readonly poolId: string; readonly address: string }, void>({
    name: 'IpamDriver.ReleaseAddress',
    decodeRequest: (body) => ({
      poolId: poolId(body),
      address: optionalAddress(body, 'Address') ?? body.refuse('Address', 'an IP address'),
    }),
    encodeRequest: (request) => ({ PoolID: request.poolId, Address: request.address }),
    handler: (driver) => driver.releaseAddress.bind(driver),
    ...emptyReply,
    locks: (request) => ({ exclusive: [poolKey(request.poolId)] }),
  }),
} as const;

function encodeAddressOptions(request: RequestAddressRequest): Record<string, string> | null {
  const options = {
    ...request.options,
    ...(request.isGateway ? { [ADDRESS_TYPE]: GATEWAY } : {}),
    ...present(ENDPOINT_MAC, request.macAddress),
    ...(request.serial ? { [SERIAL]: 'true' } : {}),
  };
  return Object.keys(options).length > 0 ? options : null;
}
