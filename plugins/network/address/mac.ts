/** Ethernet addresses. One spelling inside: six lower-case hex pairs with colons, as engines and the kernel's tools write them. */
import { randomBytes } from 'node:crypto';
import { PluginError } from '../../sdk/errors.ts';

declare const macBrand: unique symbol;

/** A checked address in the one spelling, so that two of them compare with `===`. */
export type Mac = string & { readonly [macBrand]: true };

/** Reads `02:42:0a:00:00:07`, also with hyphens or as `0242.0a00.0007`. Throws NET_ADDRESS_INVALID. */
export function parseMac(text: string): Mac {
  const mac = findMac(text);
  if (mac === undefined) {
    throw new PluginError('NET_ADDRESS_INVALID', `"${text}" is no MAC address`, {
      hint: 'give one like 02:42:0a:00:00:07',
    });
  }
  return mac;
}

/** The address, or undefined when the text is none. */
export function findMac(text: string): Mac | undefined {
  const known =
    /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ||
    /^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i.test(text) ||
    /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i.test(text);
  return known ? macFromBytes(Buffer.from(text.replaceAll(/[:.-]/g, ''), 'hex')) : undefined;
}

/** From six bytes. Throws NET_ADDRESS_INVALID for any other length. */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) {
    throw new PluginError('NET_ADDRESS_INVALID', `a MAC address has 6 bytes, not ${bytes.length}`);
  }
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  return new Uint8Array(Buffer.from(mac.replaceAll(':', ''), 'hex'));
}

/** Whether an interface may have it: unicast (the lowest bit of the first byte is clear) and not all zero. */
export function isUnicastMac(mac: Mac): boolean {
  const bytes = macToBytes(mac);
  return (bytes[0]! & 0x01) === 0 && bytes.some((byte) => byte !== 0);
}

/** A new unicast address from the locally administered range (IEEE 802-2014 §8.2.2). `source` gives its six bytes. */
export function randomMac(source: (length: number) => Uint8Array = randomBytes): Mac {
  const bytes = Uint8Array.from(source(6));
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return macFromBytes(bytes);
}
