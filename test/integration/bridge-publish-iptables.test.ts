/** Published ports by traffic once more, with rules by iptables. */
process.env['CLEAT_FIREWALL'] = 'iptables-legacy';
await import('./bridge-publish.test.ts');

export {};
