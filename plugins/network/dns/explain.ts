/** `cleat dns query`: the answer to one question as a network's containers get it, with the reason for each record. */

import { PluginError } from '../../sdk/errors.ts';
import type { Directory, DnsNetwork } from './directory.ts';
import { findName } from './options.ts';
import { writeOwnQuery } from './own-query.ts';
import { formatRdata } from './rdata.ts';
import { resolve } from './resolver.ts';
import type { Responder } from './responder.ts';
import { ownerOf, readResponse } from './response.ts';
import { classes, findType, rcodeName, typeName } from './wire.ts';
import type { ZoneRecord } from './zone.ts';

export interface ExplainedRecord {
  readonly name: string;
  readonly ttl: number;
  readonly type: string;
  readonly data: string;
  readonly section: string;
  /** `container name`, `alias`, `static record of the network`, an upstream … */
  readonly source: string;
  readonly container?: string;
}

export interface Explanation {
  readonly network: string;
  readonly rcode: string;
  readonly why: string;
  /** How long the answer took, milliseconds. */
  readonly ms: number;
  readonly records: readonly ExplainedRecord[];
}

/** Finds a network by name, id or the beginning of its id. Throws DNS_NETWORK_NOT_FOUND. */
export function findNetwork(directory: Directory, given: string): DnsNetwork {
  const all = directory.networks();
  const found =
    all.find(({ network }) => directory.nameOf(network.networkId) === given) ??
    all.find(({ network }) => network.networkId.startsWith(given));
  if (found !== undefined && given !== '') return found;
  const known = all.map(({ network }) => directory.nameOf(network.networkId) ?? network.networkId.slice(0, 12));
  throw new PluginError('DNS_NETWORK_NOT_FOUND', `no network "${given}"`, {
    hint: known.length > 0 ? `the networks are: ${known.join(', ')}` : 'there are no networks yet',
  });
}

export async function explain(
  directory: Directory,
  responder: Responder,
  given: string,
  text: string,
  typeText: string,
): Promise<Explanation> {
  const { network } = findNetwork(directory, given);
  const name = text === '.' ? '' : findName(text);
  const type = findType(typeText);
  // dns2, which writes the question, knows no escapes.
  if (name === undefined || name.includes('\\'))
    throw new PluginError('DNS_NAME_INVALID', `"${text}" is no domain name`);
  if (type === undefined)
    throw new PluginError('DNS_NAME_INVALID', `"${typeText}" is no record type`, {
      hint: 'use A, AAAA, PTR, SRV, TXT …',
    });
  const view = directory.viewOf([network.networkId]);
  const resolution = resolve(view.zones, { name, type, class: classes.IN });
  const message = writeOwnQuery(name, type);
  const asker = { view, transport: 'tcp', client: { pending: 0 }, address: 'cleat dns query', port: 0 } as const;
  const startedAt = performance.now();
  const reply = await new Promise<Buffer>((resolve) => {
    responder.respond(message, asker, (bytes, length) => resolve(Buffer.from(bytes.subarray(0, length))));
  });
  const ms = Math.round((performance.now() - startedAt) * 100) / 100;
  const response = readResponse(reply);
  if (response === undefined) throw new PluginError('DNS_NAME_INVALID', `no answer for "${text}"`);
  const sources = resolution.kind === 'answer' ? resolution.sets.flatMap((set) => set.records) : [];
  return {
    network: view.label,
    rcode: rcodeName(response.rcode),
    why: resolution.why,
    ms,
    records: response.records.map((record) => {
      const rdata = reply.subarray(record.dataAt, record.end);
      const known = sources.find(
        (one): one is ZoneRecord => 'source' in one && one.type === record.type && one.rdata.equals(rdata),
      );
      return {
        name: `${ownerOf(reply, record)}.`,
        ttl: record.ttl,
        type: typeName(record.type),
        data: formatRdata(record.type, reply, record.dataAt, record.end - record.dataAt) ?? '(broken)',
        section: record.section,
        source: known?.source.reason ?? (resolution.kind === 'forward' ? 'upstream' : 'cleat'),
        ...(known?.source.container === undefined ? {} : { container: known.source.container }),
      };
    }),
  };
}
