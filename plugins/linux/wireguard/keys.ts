/** Curve25519 keys as WireGuard has them: 32 bytes in base64. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';

export interface WireguardKeys {
  readonly privateKey: string;
  readonly publicKey: string;
}

const keyBytes = 32;
/** RFC 8410: what stands before the 32 bytes of an X25519 private key in PKCS #8. */
const pkcs8Head = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function generateKeys(): WireguardKeys {
  const { privateKey } = generateKeyPairSync('x25519');
  const bytes = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(pkcs8Head.length);
  const text = bytes.toString('base64');
  return { privateKey: text, publicKey: publicKeyOf(text) };
}

export function publicKeyOf(privateKey: string): string {
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Head, keyFromText(privateKey)]),
    format: 'der',
    type: 'pkcs8',
  });
  // SubjectPublicKeyInfo ends with the key.
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-keyBytes).toString('base64');
}

/** Whether the text is a key; the base64 of exactly 32 bytes. */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}

/** Throws TypeError, without the text. */
export function keyFromText(text: string): Buffer {
  if (!isKey(text)) throw new TypeError('that is no WireGuard key');
  return Buffer.from(text, 'base64');
}
