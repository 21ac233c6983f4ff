/** Whether a text has the form of an address. Arithmetic on addresses is no business of the protocol's. */
import { isIP } from 'node:net';

const MAC_ADDRESS = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i;

/** Zone indexes (`fe80::1%eth0`) are no plain addresses. */
export function isAddress(text: string, family?: 4 | 6): boolean {
  const found = text.includes('%') ? 0 : isIP(text);
  return family === undefined ? found !== 0 : found === family;
}

export function isCidr(text: string, family?: 4 | 6): boolean {
  const slash = text.lastIndexOf('/');
  const address = text.slice(0, slash);
  const length = text.slice(slash + 1);
  if (slash < 0 || !isAddress(address, family) || !/^(?:0|[1-9]\d{0,2})$/.test(length)) return false;
  return Number(length) <= (isAddress(address, 4) ? 32 : 128);
}

/** Six octets with `:` or `-` between them. */
export function isMacAddress(text: string): boolean {
  return MAC_ADDRESS.test(text);
}
