/** Where an address or route is valid: RT_SCOPE_*, <linux/rtnetlink.h>. */
export const scopeNumbers = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export type Scope = keyof typeof scopeNumbers;

export function scopeWord(number: number): Scope {
  for (const [word, value] of Object.entries(scopeNumbers)) if (value === number) return word as Scope;
  return 'global';
}
