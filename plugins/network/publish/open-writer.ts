/** The packet filter of this host, for the rules: nftables, and iptables where there is none. */
import { Nftables } from '../../linux/nftables/context.ts';
import { findRuleBackend } from '../../linux/rule-backend.ts';
import { PluginError } from '../../sdk/errors.ts';
import { IptablesWriter } from './iptables-writer.ts';
import { NftWriter } from './nft-writer.ts';
import type { RuleWriter } from './rules.ts';

interface Log {
  warn(fields: object, message: string): void;
}

const choices = ['auto', 'nftables', 'iptables'] as const;

/** `configured`: "firewall" of the configuration file, default auto. Throws PROTO_OPTION. */
export function readFilterChoice(configured: unknown): (typeof choices)[number] {
  const wanted = choices.find((name) => name === (configured ?? 'auto'));
  if (wanted !== undefined) return wanted;
  throw new PluginError('PROTO_OPTION', `"firewall" in the configuration is ${JSON.stringify(configured)}`, {
    hint: `use one of ${choices.join(', ')}`,
  });
}

/** `configured` as above. Throws PROTO_OPTION, and NET_FIREWALL where there is no packet filter. */
export async function openRuleWriter(configured: unknown, log: Log): Promise<RuleWriter> {
  const found = await findRuleBackend(readFilterChoice(configured));
  if (found.kind === 'nftables') return new NftWriter(new Nftables());
  if (found.kind === 'none') {
    throw new PluginError('NET_FIREWALL', `this host has no packet filter to use: ${found.reason}`, {
      hint: 'install the package nftables, whose library libnftables.so.1 is needed, or iptables; `cleat doctor` tells more',
    });
  }
  const { reason, version } = found;
  log.warn({ reason, version }, 'rules are written by iptables: a port is a rule there, and many are slow');
  return new IptablesWriter(found, log);
}
