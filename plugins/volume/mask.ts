/** Hides what is secret in options: in Status, in errors and in logs. */

const secretWords = /^(pass|passwd|password|pass2|password2|secret|secretfile|key|token|credentials?-value)$/i;
const hidden = '***';

/** The value of one option as it may be shown; `o=` and `options=` hold a list of their own. */
export function maskOption(key: string, value: string): string {
  if (secretWords.test(key)) return hidden;
  if (key === 'o' || key === 'options') return maskMountOptions(value);
  // `//user:password@host/share`, as rclone and smbclient take it.
  return value.replaceAll(/(\/\/[^/:@\s]+:)[^@/\s]+@/g, `$1${hidden}@`);
}

/** `username=a,password=b` with the secret values hidden. */
export function maskMountOptions(text: string): string {
  return text.replaceAll(/(^|,)([^=,]+)=("[^"]*"|[^,]*)/g, (whole, comma: string, key: string) =>
    secretWords.test(key.trim()) ? `${comma}${key}=${hidden}` : whole,
  );
}

export function maskOptions(options: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [key, maskOption(key, value)]));
}

/** A text (a command's message) with the secret values of these options taken out. */
export function maskText(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret !== '').reduce((masked, secret) => masked.replaceAll(secret, hidden), text);
}
