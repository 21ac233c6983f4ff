/** The `Interface` object of CreateEndpoint, which the engine lets a driver fill but never change. */
import type { EndpointInterface } from '../network-plugin.ts';
import { isCidr, isMacAddress } from './address-form.ts';
import { refuseReply } from './method.ts';
import { present, type WireObject, type WireReader } from './wire.ts';

export function decodeInterface(reader: WireReader): EndpointInterface {
  return {
    ...present('address', reader.optionalText('Address')),
    ...present('addressIPv6', reader.optionalText('AddressIPv6')),
    ...present('macAddress', reader.optionalText('MacAddress')),
  };
}

/** Requests always carry all three fields. */
export function encodeInterface(given: EndpointInterface): WireObject {
  return { Address: given.address ?? '', AddressIPv6: given.addressIPv6 ?? '', MacAddress: given.macAddress ?? '' };
}

/**
 * The reply holds only what the request left open: the engine refuses a field it had set, even with the same value.
 * A driver that repeats the same value is helped, one that changes it is refused.
 */
export function checkInterfaceReply(method: string, reply: EndpointInterface, request: EndpointInterface): WireObject {
  const fields = [
    ['Address', reply.address, request.address, (text: string) => isCidr(text, 4), 'an IPv4 CIDR'],
    ['AddressIPv6', reply.addressIPv6, request.addressIPv6, (text: string) => isCidr(text, 6), 'an IPv6 CIDR'],
    ['MacAddress', reply.macAddress, request.macAddress, isMacAddress, 'a MAC address'],
  ] as const;
  const filled: Record<string, string> = {};
  for (const [name, value, asked, valid, form] of fields) {
    if (value === undefined || value === '' || value.toLowerCase() === asked?.toLowerCase()) continue;
    if (asked !== undefined) refuseReply(method, `the driver changed ${name} from "${asked}" to "${value}"`);
    if (!valid(value)) refuseReply(method, `${name} "${value}" is not ${form}`);
    filled[name] = value;
  }
  return Object.keys(filled).length > 0 ? { Interface: filled } : {};
}
